"""The program that type checkers are shown (typed_user.py) runs, so that the stubs accept nothing but what works."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_the_program_of_a_user_runs():
    ran = runpy.run_path(str(Path(__file__).with_name("typed_user.py")))
    assert ran["result"].shape == () and [s.shape for s in ran["shapes"][:3]] == [(4,), (2, 2), (2, 2)]
