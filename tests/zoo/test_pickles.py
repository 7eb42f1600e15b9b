"""Pickles of weights are read as data: arrays come out whole, and nothing that a file names is run."""

import collections
import contextlib
import io
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest
from steep.zoo import pickles, torch_file
from steep.zoo.pickles import read_arrays
from steep.zoo.torch_file import read_torch

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_in_dicts_and_lists_come_back(protocol, dtype):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, (2, 3, 4)).astype(dtype)
    tree = {"a": [first, np.asfortranarray(first[0])], "b": {"c": first[0, 0].reshape(4, 1)}, "n": 3, "s": "text"}
    found = read_arrays(pickle.dumps(tree, protocol))
    assert list(found) == ["a.0", "a.1", "b.c"]
    for name, wanted in (("a.0", first), ("a.1", first[0]), ("b.c", first[0, 0].reshape(4, 1))):
        assert found[name].dtype == wanted.dtype and np.array_equal(found[name], wanted)


def test_big_endian_arrays_keep_their_values():
    array = np.arange(5, dtype=">f4")
    assert np.array_equal(read_arrays(pickle.dumps({"a": array}, 3))["a"], array)


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = [
    (Call(os.system, "true"), "system"),
    (Call(eval, "1"), r"builtins\.eval"),
    (Call(getattr, "x", "y"), r"builtins\.getattr"),
    (Call(np.fromfile, "/etc/hostname"), "fromfile"),
    (Call(np.load, "x"), "load"),
    (Call(collections.OrderedDict), "OrderedDict"),
    (np.float64(1), "scalar"),
    (np.array([None, {}], object), "dtype 'O8'"),
    (np.array(["x"]), "dtype 'U1'"),
    (np.zeros(2, "c16"), "dtype 'c16'"),
    (np.zeros(2, [("f", "f4")]), "dtype 'V4'"),
    (range(3), "range"),
    ({1, 2}, "builtins.set|EMPTY_SET"),
    (np.dtype, ""),
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value, named", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_pickles_are_refused_by_name(value, named, protocol, monkeypatch):
    data = pickle.dumps({"a": value}, protocol)
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("ran"))
    if value is np.dtype:
        assert read_arrays(data) == {}  # named and never called
    else:
        pattern = f"({named}).*is refused" if protocol in (3, 4) else "is refused"
        with pytest.raises(ValueError, match=pattern):
            read_arrays(data)


class Claim:
    """Pickles as an array that claims ``shape`` for ``data``."""

    def __init__(self, shape, data):
        function = np.zeros(1).__reduce__()[0]
        self.call = function, (np.ndarray, (0,), b"b"), (1, shape, np.dtype("u1"), False, data)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "shape", [(6,), (2**40,), (2**62, 4), (-5,), (5, -1, -1), (5,) + (1,) * 40, (5.0,), 5, (True, 5)]
)
def test_shapes_that_do_not_fit_the_bytes_are_refused(shape):
    assert np.array_equal(read_arrays(pickle.dumps([Claim((5,), b"steep")], 3))["0"], list(b"steep"))
    with pytest.raises(ValueError, match="does not fit the 5 bytes"):
        read_arrays(pickle.dumps([Claim(shape, b"steep")], 3))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04.",
        b"\x80\x04}",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",  # bytes that are not there
        b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",  # a bytearray of that size
        b"\x80\x04Nr\xff\xff\xff\xff0.",  # a memo of 2**32 places
        b"\x80\x04j\xff\xff\xff\xff.",
        b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
        b"\x80\x04R.",
        b"\x80\x04NNb.",
        b"\x80\x04u.",
        b"\x80\x04NNs.",
        b"\x80\x04}]Ns.",
        b"\x80\x04(NNNd.",
        b"\x80\x04\x82\x01.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04NN\x93.",
        b"cos\nsystem\n.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\no.",
        b"P1\n.",
        b"\x80\x02NQ.",
    ],
)
def test_malformed_pickles_are_value_errors(data):
    with pytest.raises(ValueError):
        read_arrays(data)


def test_cycles_and_nests_are_refused():
    cycle: dict = {}
    cycle["again"] = cycle
    laughs: list = []
    for _ in range(40):
        laughs = [laughs, laughs]
    for tree in (cycle, laughs, {"a": laughs}):
        with pytest.raises(ValueError, match="twice or is nested"):
            read_arrays(pickle.dumps(tree, 3))


def test_every_truncation_of_a_pickle_is_a_value_error():
    data = pickle.dumps({"a": [np.arange(3.0)], "b": (1, "x")}, 3)
    for end in range(len(data)):
        with pytest.raises(ValueError):
            read_arrays(data[:end])


def test_no_change_of_a_byte_does_more_than_raise_value_error():
    data = pickle.dumps({"a": [np.arange(3.0)], "b": (1, "x")}, 3)
    for at in range(len(data)):
        for value in (0, 1, 40, 46, 82, 98, 99, 147, 255, data[at] ^ 1):
            with contextlib.suppress(ValueError):
                read_arrays(data[:at] + bytes([value]) + data[at + 1 :])


# -- torch's legacy files -------------------------------------------------------------------------------------------


class FloatStorage:
    """Pickled under torch's name, by a persistent id."""


FloatStorage.__module__ = "torch"


def _rebuild_tensor_v2(*_):
    """Pickled under torch's name."""


_rebuild_tensor_v2.__module__ = "torch._utils"


class Tensor:
    def __init__(self, key, offset, shape, strides, count):
        self.arguments = (key, count), offset, shape, strides, False, collections.OrderedDict()


class Names:
    """Torch's modules, for as long as something is pickled under their names; a context manager."""

    def __enter__(self):
        modules = {"torch": types.ModuleType("torch"), "torch._utils": types.ModuleType("torch._utils")}
        modules["torch"].FloatStorage, modules["torch._utils"]._rebuild_tensor_v2 = FloatStorage, _rebuild_tensor_v2
        self.before = {name: sys.modules.get(name) for name in modules}
        sys.modules.update(modules)

    def __exit__(self, *_):
        for name, module in self.before.items():
            sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)


class Pickler(pickle.Pickler):
    """Python's own, which names storages as torch does: with ``more`` fields at the end of a persistent id."""

    more = ()

    def persistent_id(self, value):
        is_storage = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
        return ("storage", FloatStorage, value[0], "cpu", value[1], *self.more) if is_storage else None

    def reducer_override(self, value):
        return (_rebuild_tensor_v2, value.arguments) if isinstance(value, Tensor) else NotImplemented


def pickled(content, more=()):
    file = io.BytesIO()
    with Names():
        pickler = Pickler(file, 2)
        pickler.more = more
        pickler.dump(content)
    return file.getvalue()


def legacy(tensors, storages, **changes):
    """A file in torch's legacy format."""
    head = (torch_file.MAGIC, torch_file.VERSION, {"little_endian": changes.get("little", True)})
    data = b"".join(pickle.dumps(value, 2) for value in head)
    data += pickled(collections.OrderedDict(tensors), (changes.get("view"),)) + pickle.dumps(list(storages), 2)
    for values in storages.values():
        data += struct.pack("<q", changes.get("count", len(values))) + np.asarray(values, "<f4").tobytes()
    return data


def archive(content, storages, order=b"little", more=(), name="data.pkl"):
    """A file in torch's zip format."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(f"w/{name}", pickled(content, more))
        made.writestr("w/byteorder", order)
        for key, values in storages.items():
            made.writestr(f"w/data/{key}", np.asarray(values, "<f4").tobytes())
    return file.getvalue()


VALUES = np.arange(12, dtype=np.float32)


@pytest.mark.parametrize("made", [legacy, archive])
def test_tensors_of_both_formats_with_views_and_strides(made):
    tensors = {
        "whole": Tensor("7", 0, (3, 4), (4, 1), 12),
        "transposed": Tensor("7", 0, (4, 3), (1, 4), 12),
        "part": Tensor("7", 2, (2, 2), (4, 1), 12),
        "number": Tensor("8", 0, (), (), 1),
    }
    found = read_torch(made(tensors, {"7": VALUES, "8": [5.0]}))
    grid = VALUES.reshape(3, 4)
    for name, wanted in {"whole": grid, "transposed": grid.T, "part": grid[:2, 2:], "number": np.float32(5)}.items():
        assert np.array_equal(found[name], wanted) and found[name].shape == wanted.shape


@pytest.mark.parametrize(
    "arguments",
    [
        (0, (13,), (1,), 12),
        (1, (12,), (1,), 12),
        (0, (4, 3), (12, 1), 12),
        (0, (2**40,), (0,), 12),
        (-1, (2,), (1,), 12),
        (0, (-2,), (1,), 12),
        (11, (2,), (-1,), 12),
        (0, (2, 2), (1,), 12),
        (0, (12,), (1,), 2**40),
    ],
)
def test_tensors_that_leave_their_storage_are_refused(arguments):
    with pytest.raises(ValueError):
        read_torch(legacy({"x": Tensor("7", *arguments)}, {"7": VALUES}))


def test_other_and_broken_torch_files_are_refused():
    good = {"x": Tensor("7", 0, (12,), (1,), 12)}
    for data in (
        legacy(good, {"7": VALUES}, little=False),
        legacy(good, {"7": VALUES}, view="x"),
        legacy(good, {"7": VALUES}, count=2**40),
        legacy(good, {"7": VALUES})[:-1],
        legacy(good, {}),
        legacy(good, {"8": VALUES}),
        legacy({"x": 1}, {}),
        archive(good, {"7": VALUES}, order=b"big"),
        archive(good, {"7": VALUES}, more=(None,)),
        archive(good, {"7": VALUES}, name="other.pkl"),
        archive(good, {"7": VALUES[:-1]}),
        archive(good, {"8": VALUES}),
        archive(good, {"7": VALUES})[:-30],
        archive({"x": Call(os.system, "true")}, {}),
        archive({"a": {"b": {"c": {"d": {"e": {"f": {"g": {}}}}}}}}, {}),
        legacy({"x": Call(os.system, "true")}, {}),
        pickle.dumps(1),
        b"PK\x03\x04",
    ):
        with pytest.raises(ValueError):
            read_torch(data)
    assert "torch _nosuch" not in torch_file.TORCH and pickles.NUMPY["numpy ndarray"] is None


@pytest.mark.parametrize("made", [legacy, archive])
def test_a_checkpoint_gives_the_tensors_of_its_dicts(made):
    tensor = Tensor("7", 0, (12,), (1,), 12)
    found = read_torch(made({"net": {"weight": tensor, "bias": tensor}, "epoch": 3, "note": "text"}, {"7": VALUES}))
    assert list(found) == ["net.weight", "net.bias"] and np.array_equal(found["net.bias"], VALUES)
