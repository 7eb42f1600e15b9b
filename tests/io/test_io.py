"""Files: what is written comes back, what breaks a rule is refused by name, and a kill leaves a whole file."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import steep as sp
from steep import data, io, nn, optim
from steep.io import safetensors
from steep.random import Generator

TENSORS = {
    "weights/1": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "double": np.array([1.5, np.nan, -np.inf]),
    "int": np.array(-7, np.int32),
    "long": np.array([2**62, -1]),
    "bytes": np.arange(5, dtype=np.uint8),
    "flags": np.array([[True], [False]]),
    "empty": np.zeros((0, 4), np.float32),
    "é ☃": np.ones(1),
}


def arr(tensor):
    return tensor.detach().numpy().copy()


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# -- save and load ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".safetensors", ".npz"])
def test_what_is_saved_comes_back_and_the_bytes_are_the_same_twice(tmp_path, extension):
    path, again = tmp_path / f"a{extension}", tmp_path / f"b{extension}"
    io.save(path, TENSORS)
    loaded = io.load(path)
    assert loaded.keys() == TENSORS.keys()
    assert all(same(arr(loaded[name]), value) for name, value in TENSORS.items())
    io.save(again, loaded if extension == ".safetensors" else TENSORS)
    assert path.read_bytes() == again.read_bytes()


def test_metadata_and_a_models_state(tmp_path):
    model = nn.Linear(3, 2, generator=0)
    io.save(tmp_path / "m.safetensors", model.state_dict(), {"what": "a layer"})
    assert io.metadata(tmp_path / "m.safetensors") == {"what": "a layer"}
    other = nn.Linear(3, 2, generator=1)
    other.load_state_dict(io.load(tmp_path / "m.safetensors"))
    assert same(arr(other.weight), arr(model.weight))


def test_npz_files_are_numpys_both_ways(tmp_path):
    io.save(tmp_path / "ours.npz", TENSORS)
    with np.load(tmp_path / "ours.npz") as ours:
        assert all(same(ours[name], value) for name, value in TENSORS.items())
    np.savez_compressed(tmp_path / "theirs.npz", a=TENSORS["double"], b=TENSORS["weights/1"])
    theirs = io.load(tmp_path / "theirs.npz")
    assert same(arr(theirs["a"]), TENSORS["double"]) and same(arr(theirs["b"]), TENSORS["weights/1"])


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    for tensors, message in (
        ({"x": np.ones(2, np.complex128)}, "'x' is complex128"),
        ({"__metadata__": np.ones(2)}, "must be a string other than"),
        ({3: np.ones(2)}, "must be a string"),
        ({"x": np.array([object()])}, "'x' is object"),
    ):
        with pytest.raises(TypeError, match=message):
            io.save(path, tensors)
    with pytest.raises(TypeError, match="'x' is object"):
        io.save(tmp_path / "a.npz", {"x": np.array([object()])})
    with pytest.raises(TypeError, match="strings to strings"):
        io.save(path, {}, {"a": 1})
    with pytest.raises(ValueError, match="hold no metadata"):
        io.save(tmp_path / "a.npz", {}, {"a": "b"})
    for call in (lambda: io.save(tmp_path / "a.pt", {}), lambda: io.load(tmp_path / "a.pt")):
        with pytest.raises(ValueError, match="extension must be one of"):
            call()
    assert list(tmp_path.iterdir()) == []


# -- the rules of safetensors -------------------------------------------------------------------------------------


def encoded(header, body=b"", length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + body


def one(dtype="U8", shape="[2]", offsets="[0,2]", name="a"):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'


ACCEPTED = [
    encoded("{}"),
    encoded("{}   "),
    encoded('{"__metadata__":{"k":"v"}}'),
    encoded("{" + one() + "}", b"xy"),
    encoded("{" + one(shape="[]", offsets="[0,1]") + "}", b"x"),
    encoded("{" + one(shape="[3,0]", offsets="[0,0]") + "}"),
    encoded("{" + one(offsets="[2,4]") + "," + one(name="b") + "}", b"wxyz"),
    encoded("{" + one() + "," + one(name="b", shape="[0]", offsets="[2,2]") + "}", b"xy"),
    encoded("{" + one(dtype="F4", shape="[4]") + "}", b"xy"),
    encoded('{"a":{"note":1,"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', b"xy"),
    encoded('{"\\u00e9":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', b"xy"),
]
REFUSED = [
    (b"", "has 0 bytes"),
    (b"1234567", "has 7 bytes"),
    (encoded("{}", length=100_000_001), "at most 100000000"),
    (encoded("{}", length=2**64 - 1), "at most"),
    (encoded("{}", length=3), "only 2 follow"),
    (encoded(""), "must begin with '{'"),
    (encoded(" {}"), "must begin with '{'"),
    (encoded("[]"), "must begin with '{'"),
    (encoded("{}x"), "not valid JSON"),
    (encoded("{} \0"), "not valid JSON"),
    (encoded(b'{"\xff":1}'), "not valid JSON"),
    (encoded('{"a":' + '{"b":' * 100_000), "nested too deeply|not valid JSON"),
    (encoded("{" + one() + "," + one() + "}", b"xy"), "'a' occurs twice"),
    (encoded('{"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}}', b"xy"), "'dtype' occurs twice"),
    (encoded('{"__metadata__":{"k":"v","k":"w"}}'), "'k' occurs twice"),
    (encoded('{"__metadata__":{"k":1}}'), "strings to strings"),
    (encoded('{"__metadata__":null}'), "strings to strings"),
    (encoded('{"\\ud800":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', b"xy"), "not valid Unicode"),
    (encoded('{"a":3}'), "'a' must be an object"),
    (encoded('{"a":{"dtype":"U8","shape":[2]}}'), "'a' must be an object"),
    (encoded("{" + one(dtype="U9") + "}", b"xy"), "'a' has unknown dtype 'U9'"),
    (encoded("{" + one(shape="2") + "}", b"xy"), "'a': shape"),
    (encoded("{" + one(shape="[2.0]") + "}", b"xy"), "'a': shape"),
    (encoded("{" + one(shape="[-0]", offsets="[0,0]") + "}"), "'a': shape"),
    (encoded("{" + one(shape="[-2]") + "}", b"xy"), "'a': shape"),
    (encoded("{" + one(shape="[true,2]") + "}", b"xy"), "'a': shape"),
    (encoded("{" + one(shape="[NaN]") + "}", b"xy"), "NaN is not JSON"),
    (encoded("{" + one(shape="[18446744073709551616]") + "}", b"xy"), "'a': shape"),
    (encoded("{" + one(shape=f"[{'9' * 10_000}]") + "}", b"xy"), "'a': shape"),
    (encoded("{" + one(offsets="[0,2,2]") + "}", b"xy"), "'a': data_offsets"),
    (encoded("{" + one(offsets="[2,0]") + "}", b"xy"), r"\[2, 0\] hold -2"),
    (encoded("{" + one(offsets="[0,1]") + "}", b"x"), "takes 2 bytes"),
    (encoded("{" + one(dtype="F64", shape="[1152921504606846976,2]") + "}", b"xy"), "'a': the size .* overflows"),
    (encoded("{" + one(shape="[4294967296,4294967296]") + "}", b"xy"), "'a': the size .* overflows"),
    (encoded("{" + one(dtype="F4", shape="[3]") + "}", b"xy"), "'a': F4 .* does not fill whole bytes"),
    (encoded("{" + one(offsets="[1,3]") + "}", b"wxy"), "'a' begins at byte 1 .* hole"),
    (encoded("{" + one() + "," + one(name="b", offsets="[1,3]") + "}", b"xyz"), "'b' begins at byte 1 .* overlaps"),
    (encoded("{" + one() + "," + one(name="b") + "}", b"xy"), "'b' begins at byte 0 .* overlaps"),
    (encoded("{" + one() + "}", b"x"), "take 2 bytes, but 1 follow"),
    (encoded("{" + one() + "}", b"xyz"), "take 2 bytes, but 3 follow"),
]


@pytest.mark.parametrize("content", ACCEPTED)
def test_files_that_keep_the_rules_are_accepted(content):
    safetensors.parse(content)


@pytest.mark.parametrize("content, message", REFUSED, ids=range(len(REFUSED)))
def test_files_that_break_a_rule_are_refused_by_name(content, message, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        io.load(path)
    assert "bad.safetensors" in str(caught.value)


def test_damaged_files_raise_value_errors_only(tmp_path):
    io.save(tmp_path / "a.safetensors", TENSORS, {"k": "v"})
    good = (tmp_path / "a.safetensors").read_bytes()
    header = int.from_bytes(good[:8], "little") + 8
    rng, refused = random.Random(0), 0
    for _ in range(3000):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(header)
            bad[at : at + rng.randint(0, 2)] = bytes(rng.randrange(32, 127) for _ in range(rng.randint(0, 2)))
        try:
            safetensors.parse(bytes(bad))
        except ValueError:
            refused += 1
    assert refused > 2500


@pytest.mark.parametrize(
    "dtype, raw, expected",
    [
        ("F16", np.array([1.5, -2.0], "<f2").tobytes(), np.array([1.5, -2.0], np.float32)),
        ("BF16", np.array([0x3FC0, 0xC000], "<u2").tobytes(), np.array([1.5, -2.0], np.float32)),
        ("I8", b"\xff\x02", np.array([-1, 2], np.int32)),
        ("U16", b"\xff\xff\x02\x00", np.array([65535, 2], np.int32)),
        ("U32", b"\xff\xff\xff\xff\x02\x00\x00\x00", np.array([2**32 - 1, 2])),
        ("BOOL", b"\x00\x02", np.array([False, True])),
    ],
)
def test_narrow_types_are_widened_without_loss(tmp_path, dtype, raw, expected):
    (tmp_path / "a.safetensors").write_bytes(encoded("{" + one(dtype, offsets=f"[0,{len(raw)}]") + "}", raw))
    loaded = io.load(tmp_path / "a.safetensors")["a"]
    assert same(arr(loaded), expected)
    assert loaded.dtype == ("bfloat16" if dtype == "BF16" else expected.dtype.name)


def test_a_type_that_steep_cannot_hold_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(encoded("{" + one("U64", offsets="[0,16]") + "}", bytes(16)))
    with pytest.raises(ValueError, match="'a' is U64, which steep cannot hold"):
        io.load(tmp_path / "a.safetensors")


def test_npz_files_with_pickles_or_damage_are_refused(tmp_path):
    np.savez(tmp_path / "pickle.npz", a=np.array([{}], dtype=object))
    np.savez(tmp_path / "complex.npz", a=np.ones(2, np.complex64))
    np.savez(tmp_path / "good.npz", a=np.arange(100.0))
    good = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "flipped.npz").write_bytes(good.replace(np.float64(7).tobytes(), np.float64(8).tobytes()))
    (tmp_path / "short.npz").write_bytes(good[:-30])
    (tmp_path / "text.npz").write_bytes(b"hello")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    for name in ("pickle", "complex", "flipped", "short", "text", "other"):
        with pytest.raises(ValueError, match=f"{name}.npz is not an npz file"):
            io.load(tmp_path / f"{name}.npz")


# -- atomic writes ------------------------------------------------------------------------------------------------


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    io.save(path, {"x": np.zeros(3)})
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        io.save(path, {"x": np.ones(3)})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_is_really_full_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    io.save(path, {"x": np.zeros(3)})
    before = path.read_bytes()
    real = open

    def on_a_full_disk(name, mode="r", **options):
        return real("/dev/full", "wb") if mode == "xb" else real(name, mode, **options)

    monkeypatch.setattr("builtins.open", on_a_full_disk)
    with pytest.raises(OSError, match="No space left"):
        io.save(path, {"x": np.ones(100_000)})
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_the_folder_is_synced_after_the_move(tmp_path, monkeypatch):
    events = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("move"), replace(a, b)))
    monkeypatch.setattr(os, "fsync", lambda d: (events.append(os.readlink(f"/proc/self/fd/{d}")), fsync(d)))
    io.save(tmp_path / "a.npz", {})
    assert events[1:] == ["move", str(tmp_path)] and events[0].startswith(str(tmp_path / ".a.npz."))


def test_links_are_followed_and_permissions_kept(tmp_path):
    (tmp_path / "real").mkdir()
    io.save(tmp_path / "real" / "a.npz", {})
    os.chmod(tmp_path / "real" / "a.npz", 0o640)
    os.symlink("real/a.npz", tmp_path / "link.npz")
    io.save(tmp_path / "link.npz", {"x": np.ones(1)})
    assert os.path.islink(tmp_path / "link.npz") and "x" in io.load(tmp_path / "real" / "a.npz")
    assert (tmp_path / "real" / "a.npz").stat().st_mode & 0o777 == 0o640


WRITER = """
import sys, itertools, numpy as np
from steep import io
print("ready", flush=True)
for i in itertools.count():
    io.save(sys.argv[1], {"a": np.full(50_000, i, np.int64), "b": np.full(50_000, -i, np.int64)})
"""


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    path, rng = tmp_path / "a.safetensors", random.Random(1)
    last = -1
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.02 + 0.1 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if path.exists():
            content = {name: arr(value) for name, value in io.load(path).items()}
            assert (content["a"] == -content["b"]).all() and len(set(content["a"])) == 1
            last = max(last, int(content["a"][0]))
    assert last >= 0


# -- checkpoints --------------------------------------------------------------------------------------------------


def make_run():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 4)).astype(np.float32)
    source = Generator(1)
    model = nn.Sequential(
        nn.Linear(4, 8, generator=source), nn.Dropout(0.3, generator=2), nn.Tanh(), nn.Linear(8, 3, generator=source)
    )
    loader = data.DataLoader(data.TensorDataset(x, rng.integers(0, 3, 24)), 5, shuffle=True, seed=3)
    rate = optim.schedules.cosine(0.05, 40)
    return model, optim.AdamW(model.parameters(), rate), loader, Generator(9)


def train(run, steps, losses):
    model, optimizer, loader, generator = run
    while True:
        for x, y in loader:
            noise = generator.normal((x.shape[0], 4)) * 0.1
            optimizer.zero_grad()
            loss = nn.cross_entropy(model(x + noise), y)
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
            if len(losses) == steps:
                return


def objects(run):
    return dict(zip(("model", "optimizer", "loader", "generator"), run, strict=True))


@pytest.mark.parametrize("stop", [1, 5, 7, 13])
def test_a_resumed_run_is_the_same_run_bit_for_bit(tmp_path, stop):
    straight, whole = make_run(), []
    train(straight, 17, whole)
    first, losses = make_run(), []
    train(first, stop, losses)
    io.save_checkpoint(tmp_path / "c.safetensors", **objects(first), step=stop, extra={"best": 0.5, "w": np.ones(2)})
    second = make_run()
    train(second, 3, [])
    found = io.load_checkpoint(tmp_path / "c.safetensors", **objects(second))
    assert found.step == stop and found.extra["best"] == 0.5 and np.array_equal(arr(found.extra["w"]), [1, 1])
    train(second, 17, losses)
    assert losses == whole
    states = straight[0].state_dict(), second[0].state_dict()
    assert all(same(arr(states[0][name]), arr(states[1][name])) for name in states[0])


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path):
    path = tmp_path / "c.safetensors"
    run = make_run()
    train(run, 2, [])
    io.save_checkpoint(path, model=run[0], optimizer=run[1])
    other = make_run()
    before = other[0].state_dict()
    with pytest.raises(ValueError, match=r"no state for \['loader'\]"):
        io.load_checkpoint(path, model=other[0], loader=other[2])
    with pytest.raises(ValueError, match="AdamW cannot be loaded into SGD"):
        io.load_checkpoint(path, model=other[0], optimizer=optim.SGD(other[0].parameters(), 0.1))
    with pytest.raises(ValueError, match="has shape"):
        io.load_checkpoint(path, model=nn.Sequential(nn.Linear(5, 8), nn.Dropout(), nn.Tanh(), nn.Linear(8, 3)))
    assert all(same(arr(before[name]), arr(value)) for name, value in other[0].state_dict().items())
    io.save(path, {"x": np.ones(1)})
    with pytest.raises(ValueError, match="no checkpoint"):
        io.load_checkpoint(path, model=other[0])


def test_what_a_checkpoint_cannot_hold_is_named(tmp_path):
    for extra, message in (
        ({"a": {1}}, "/extra/a is a set"),
        ({"a/b": 1}, "without '/'"),
        ({"a": "tensor:x"}, "reserved"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            io.save_checkpoint(tmp_path / "c.safetensors", extra=extra)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_a_plain_safetensors_file(tmp_path):
    io.save_checkpoint(tmp_path / "c.safetensors", model=nn.Linear(2, 1, generator=0), step=4)
    assert sorted(io.load(tmp_path / "c.safetensors")) == ["parts/model/bias", "parts/model/weight"]
    assert json.loads(io.metadata(tmp_path / "c.safetensors")["steep.checkpoint"])["step"] == 4
    assert sp.float32 == io.load(tmp_path / "c.safetensors")["parts/model/bias"].dtype
