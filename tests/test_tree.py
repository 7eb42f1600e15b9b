"""Trees: flatten and unflatten undo each other, map goes leaf by leaf, and a mismatch names its place."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
from steep import tree

Point = namedtuple("Point", "x y")


@dataclass
class Pair:
    left: object
    right: object


TREES = [
    (1, [1]),
    (None, []),
    ([], []),
    ({}, []),
    ([1, (2, 3)], [1, 2, 3]),
    ({"b": 1, "a": [2, None, 3]}, [1, 2, 3]),
    (OrderedDict(z=1, y=2), [1, 2]),
    (Point(1, {"k": 2}), [1, 2]),
    (Pair([1], Point(2, 3)), [1, 2, 3]),
    ({"a": {"b": {"c": (1,)}}}, [1]),
]


@pytest.mark.parametrize("nested, flat", TREES)
def test_flatten_and_unflatten_undo_each_other(nested, flat):
    leaves, shape = tree.flatten(nested)
    assert leaves == flat == tree.leaves(nested)
    rebuilt = tree.unflatten(shape, leaves)
    assert rebuilt == nested and type(rebuilt) is type(nested)
    assert shape == tree.structure(nested) and shape.size == len(flat)


def test_map_keeps_the_structure_and_matches_dicts_by_key():
    result = tree.map(lambda a, b: a - b, {"a": 1, "b": [2, None]}, {"b": [20, None], "a": 10})
    assert result == {"a": -9, "b": [-18, None]}
    assert tree.map(str, Pair(1, Point(2, 3))) == Pair("1", Point("2", "3"))


def test_subclasses_strings_and_arrays_are_leaves():
    class Mine(dict):
        pass

    array = np.zeros(3)
    assert tree.leaves([Mine(a=1), "ab", array, Pair]) == [Mine(a=1), "ab", array, Pair]


def test_paths_lead_to_the_leaves():
    assert tree.paths({"a": [5, Point(6, 7)]}) == [(("a", 0), 5), (("a", 1, "x"), 6), (("a", 1, "y"), 7)]
    assert tree.paths([[1], 2], is_leaf=lambda node: node == [1]) == [((0,), [1]), ((1,), 2)]


@pytest.mark.parametrize(
    "other, place",
    [
        ({"a": 1}, r"tree: a dict with keys \['a', 'b'\] is expected, got a dict with keys \['a'\]"),
        ({"a": 1, "b": 2}, r"tree\['b'\]: a list of length 2 is expected, got a leaf of type int"),
        ({"a": 1, "b": [1]}, r"tree\['b'\]: a list of length 2 is expected, got a list of length 1"),
        ({"a": 1, "b": (1, 2)}, r"tree\['b'\]: a list of length 2 is expected, got a tuple of length 2"),
        ({"a": [1], "b": [1, 2]}, r"tree\['a'\]: a leaf is expected, got a list of length 1"),
        ({"a": None, "b": [1, 2]}, r"tree\['a'\]: a leaf is expected, got None"),
    ],
)
def test_a_mismatch_names_its_place(other, place):
    with pytest.raises(ValueError, match=place):
        tree.map(lambda a, b: a, {"a": 1, "b": [1, 2]}, other)


def test_unflatten_wants_the_right_number_of_leaves():
    with pytest.raises(ValueError, match="has 2 leaves, got 3"):
        tree.unflatten(tree.structure([0, 0]), [1, 2, 3])
