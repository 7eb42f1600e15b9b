"""From an attacked image to bytes that still succeed."""

from __future__ import annotations

import numpy as np
import steep as sp

CLEAN = np.array([[0, 100], [200, 255]])


def test_a_bounded_change_stays_in_its_ball_and_in_the_box():
    found = np.clip(CLEAN / 255 + np.array([[-0.02, 0.02], [0.02, 0.02]]), 0, 1)
    made, distance = sp.attack.rounded(CLEAN, found, lambda made: True, norm="linf", eps=0.02)
    assert made.tolist() == [[0, 105], [205, 255]] and distance == 5 / 255


def test_a_smallest_change_that_rounding_undoes_is_enlarged():
    tried = []

    def fooled(made):
        tried.append(made)
        return abs(made - CLEAN).max() >= 2

    made, distance = sp.attack.rounded(CLEAN, CLEAN / 255 + np.array([[0, 0.9], [0, 0]]) / 255, fooled, norm="l2",
                                       smallest=True)  # fmt: skip
    assert made.tolist() == [[0, 102], [200, 255]] and distance == 2 / 255 and len(tried) > 2


def test_without_success_it_is_the_first_within_the_radius():
    made, distance = sp.attack.rounded(CLEAN, CLEAN / 255 + 0.004, lambda made: False, norm="l1", eps=1.0)
    assert distance <= 1.0 and abs(made - CLEAN).max() <= 1
    same, nothing = sp.attack.rounded(CLEAN, CLEAN / 255 + 0.1, lambda made: True, norm="linf", eps=0.01)
    assert same.tolist() == CLEAN.tolist() and nothing == 0.0
