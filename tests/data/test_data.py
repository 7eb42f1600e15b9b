"""Loaders whose order depends on seed and epoch alone, and real data sets fetched by name."""

import base64
import functools
import gzip
import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading
import tracemalloc
import zipfile
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from steep import data
from steep.data import download as downloading
from steep.data import fetch as fetching
from steep.data import images


def seen(loader):
    return [np.asarray(batch).tolist() for batch in loader]


def numbers(n=10, **options):
    return data.DataLoader(data.TensorDataset(np.arange(n)), **options)


# -- loader -------------------------------------------------------------------------------------------------------


def test_batches_in_order_with_and_without_the_last():
    assert seen(numbers(batch_size=4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert seen(numbers(batch_size=4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(numbers(batch_size=4)) == 3 and len(numbers(batch_size=4, drop_last=True)) == 2
    assert seen(numbers(batch_size=4, shuffle=True, drop_last=True)) != seen(numbers(batch_size=4, drop_last=True))


def test_the_order_is_a_function_of_seed_and_epoch():
    loader = numbers(batch_size=10, shuffle=True, seed=3)
    epochs = [seen(loader)[0] for _ in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs == [numbers(shuffle=True, seed=3).order(epoch).tolist() for epoch in range(3)]
    assert numbers(shuffle=True, seed=4).order(0).tolist() != epochs[0]


def test_an_epoch_left_early_counts_as_run():
    loader = numbers(batch_size=2, shuffle=True)
    next(iter(loader))
    assert [i for batch in seen(loader) for i in batch] == loader.order(1).tolist()


@pytest.mark.parametrize("taken", [0, 1, 4, 5])
def test_a_loader_goes_on_in_the_middle_of_an_epoch(taken):
    options = {"batch_size": 2, "shuffle": True, "seed": 5}
    loader, other = numbers(**options), numbers(**options)
    seen(loader)
    running = iter(loader)
    for _ in range(taken):
        next(running)
    other.load_state_dict(loader.state_dict())
    rest = [np.asarray(batch).tolist() for batch in running]
    assert seen(other) == rest and len(rest) == 5 - taken
    assert seen(other) == seen(loader)


def test_a_state_of_another_seed_is_refused():
    with pytest.raises(ValueError, match="does not belong"):
        numbers(seed=1).load_state_dict(numbers(seed=2).state_dict())
    with pytest.raises(ValueError, match="at least 1"):
        numbers(batch_size=0)
    with pytest.raises(ValueError, match="empty"):
        numbers(0)


def test_tuples_of_arrays_and_data_sets_of_ones_own():
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    (xb, yb), *_ = data.DataLoader(data.TensorDataset(x, y), 4)
    assert np.array_equal(np.asarray(xb), x[:4]) and np.array_equal(np.asarray(yb), y[:4])
    assert xb.shape == (4, 2)

    class Squares:
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return {"i": i, "square": np.float32(i * i)}

    last = list(data.DataLoader(Squares(), 3))[-1]
    assert np.asarray(last["i"]).tolist() == [3, 4] and np.asarray(last["square"]).tolist() == [9, 16]
    with pytest.raises(ValueError, match=r"one length, got shapes \[\(6, 2\), \(5,\)\]"):
        data.TensorDataset(x, y[:5])


# -- fetching -----------------------------------------------------------------------------------------------------

CONTENT = b"the very bytes"
SOURCE = fetching.Source("thing", "nosuch==1", "nosuch/files/thing.bin", 14, hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEEP_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_fetched_file_is_announced_checked_and_kept(home, monkeypatch, capsys):
    monkeypatch.setattr(fetching, "download", lambda *wanted: [CONTENT])
    path = fetching.fetch(SOURCE)
    assert path == home / "thing.bin" and path.read_bytes() == CONTENT
    assert "fetching thing: thing.bin (1 kB) from nosuch==1" in capsys.readouterr().err
    monkeypatch.setattr(fetching, "download", lambda *wanted: pytest.fail("fetched twice"))
    assert fetching.fetch(SOURCE) == path
    path.write_bytes(b"damaged")
    monkeypatch.setattr(fetching, "download", lambda *wanted: [CONTENT])
    assert fetching.fetch(SOURCE).read_bytes() == CONTENT


def test_without_a_network_the_error_says_which_file_to_put_where(home, monkeypatch):
    def offline(*wanted):
        raise OSError("no route")

    monkeypatch.setattr(fetching, "download", offline)
    with pytest.raises(data.FetchError) as caught:
        fetching.fetch(SOURCE)
    for part in ("no route", "nosuch/files/thing.bin", SOURCE.sha256, "nosuch==1", str(home / "thing.bin")):
        assert part in str(caught.value)


def test_the_cache_is_in_the_users_home_unless_said_otherwise(home, tmp_path, monkeypatch):
    assert fetching.cache_folder() == home
    monkeypatch.delenv("STEEP_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetching.cache_folder() == tmp_path / ".cache" / "steep"


def test_a_file_with_another_sha256_is_not_kept(home, monkeypatch):
    monkeypatch.setattr(fetching, "download", lambda *wanted: [b"other bytes"])
    with pytest.raises(data.FetchError, match="another sha256"):
        fetching.fetch(SOURCE)
    assert not home.exists()


def test_an_installed_package_is_read_without_importing_it(home, tmp_path, monkeypatch):
    package = tmp_path / "nosuch"
    (package / "files").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "files" / "thing.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert fetching.fetch(SOURCE).read_bytes() == CONTENT and "nosuch" not in sys.modules


def test_files_of_one_package_come_in_one_download(home, monkeypatch):
    contents = {"nosuch/files/thing.bin": CONTENT, "nosuch/files/other.bin": b"other"}
    calls = []

    def download(requirement, sdist, members):
        calls.append(members)
        return [contents[member] for member in members]

    monkeypatch.setattr(fetching, "download", download)
    other = fetching.Source("other", "nosuch==1", "nosuch/files/other.bin", 5, hashlib.sha256(b"other").hexdigest())
    elsewhere = replace(other, requirement="elsewhere==1")
    fetching.fetch(SOURCE, other, elsewhere, SOURCE)
    assert calls == [["nosuch/files/thing.bin", "nosuch/files/other.bin"]]
    assert fetching.fetch(other).read_bytes() == b"other" and len(calls) == 1


@pytest.mark.parametrize("sdist", ["", "0" * 64], ids=["wheel", "source archive"])
def test_pip_says_why_it_failed(tmp_path, monkeypatch, sdist):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(OSError, match=r"pip download failed: ERROR: .*nosuch"):
        downloading.download("nosuch==1", sdist, ["a/b"])


def write_sdist(path, files):
    with tarfile.open(path, "w:gz") as sdist:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            info.size = len(content)
            sdist.addfile(info, io.BytesIO(content))


def write_wheel(path, files):
    name, version = path.name.split("-")[:2]
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in {**files, f"{name}-{version}.dist-info/METADATA": metadata}.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")


OWN = b'[build-system]\nrequires = ["nosuch"]\nbuild-backend = "setup"\nbackend-path = ["."]\n'


@pytest.mark.parametrize("more", [{}, {"pyproject.toml": OWN}], ids=["setup.py", "a backend of its own"])
def test_no_code_of_a_source_archive_is_run(tmp_path, monkeypatch, more):
    path, trap = tmp_path / "no_such-1.tar.gz", tmp_path / "trap"
    write_sdist(path, {"setup.py": f"open({str(trap)!r}, 'w')".encode(), "no_such/thing.bin": CONTENT, **more})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert downloading.download("no-such==1", sha256, ["no_such/thing.bin"]) == [CONTENT]
    assert not trap.exists()


def test_a_source_archive_of_another_sha256_is_refused(tmp_path, monkeypatch):
    write_sdist(tmp_path / "no_such-1.tar.gz", {"setup.py": b"", "no_such/thing.bin": CONTENT})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(OSError, match=r"no_such-1\.tar\.gz has another sha256 than .* 0000"):
        downloading.download("no-such==1", "0" * 64, ["no_such/thing.bin"])


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index on this machine that wants a name and a password."""

    asked: ClassVar[list] = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(b'me:secret').decode()}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The folder and the address of an index of package no-such; pip is configured for no other."""
    folder = tmp_path / "index" / "simple" / "no-such"
    folder.mkdir(parents=True)
    handler = functools.partial(Index, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        Index.asked.clear()
        yield folder, f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()


@pytest.fixture(params=["wheel", "source archive"])
def published(request, index):
    """The sha256 of the source archive that the index has, or "" for a wheel."""
    folder, _ = index
    path = folder / ("no_such-1-py3-none-any.whl" if request.param == "wheel" else "no_such-1.tar.gz")
    (write_wheel if request.param == "wheel" else write_sdist)(path, {"no_such/thing.bin": CONTENT})
    return "" if request.param == "wheel" else hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_index_of_the_environment_is_asked_with_the_password_of_netrc(index, published, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("PIP_INDEX_URL", index[1])
    assert downloading.download("no-such==1", published, ["no_such/thing.bin"]) == [CONTENT]
    assert Index.asked[0] == "/simple/no-such/"


def test_the_index_of_pips_own_file_is_asked(index, published, tmp_path, monkeypatch):
    address = index[1].replace("//", "//me:secret@")
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {address}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert downloading.download("no-such==1", published, ["no_such/thing.bin"]) == [CONTENT]


def test_a_proxy_is_asked_where_one_is_configured(index, published, monkeypatch):
    address = index[1].replace("//", "//me:secret@")
    monkeypatch.setenv("PIP_PROXY", address.removesuffix("/simple/"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@index.invalid/simple/")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "index.invalid")
    with pytest.raises(OSError, match="pip download failed"):  # this "proxy" answers by path, and has no such path
        downloading.download("no-such==1", published, ["no_such/thing.bin"])
    assert any("index.invalid" in path for path in Index.asked)


def test_members_of_wheels_and_of_source_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("p/q.bin", CONTENT)
    write_sdist(tmp_path / "a-1.tar.gz", {"p/q.bin": CONTENT})
    for name in ("a.whl", "a-1.tar.gz"):
        path = tmp_path / name
        assert downloading.read_member(path, "p/q.bin") == CONTENT
        assert downloading.read_member(path, name) == path.read_bytes()
        with pytest.raises(LookupError):
            downloading.read_member(path, "p/none.bin")


# -- real data ----------------------------------------------------------------------------------------------------


def test_mnist5k_is_split_evenly_and_always_the_same_way():
    (x, y), (x_test, y_test) = data.load("mnist5k")
    assert x.shape == (4000, 28, 28) and x_test.shape == (1000, 28, 28) and x.dtype == np.float32
    assert y.dtype == np.int64 and (x.min(), x.max()) == (0, 1)
    assert np.array_equal(np.bincount(y), [400] * 10) and np.array_equal(np.bincount(y_test), [100] * 10)
    assert np.array_equal(y[:12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    train, test = ({image.tobytes() for image in images} for images in (x, x_test))
    assert not train & test


def test_digits():
    (x, y), (x_test, y_test) = data.load("digits")
    assert x.shape == (1442, 8, 8) and x_test.shape == (355, 8, 8) and (x.min(), x.max()) == (0, 1)
    assert len(y) == 1442 and np.bincount(y_test).min() >= 34


def write_idx(folder, n_train=6, n_test=4):
    folder.mkdir(parents=True)
    for part, n in (("train", n_train), ("t10k", n_test)):
        images = bytes([0, 0, 8, 3]) + np.array([n, 28, 28], ">u4").tobytes() + bytes(range(256)) * n * 4
        labels = bytes([0, 0, 8, 1]) + np.array([n], ">u4").tobytes() + bytes(range(n))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images[: 16 + n * 784]))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


@pytest.mark.parametrize("name, folder", [("fashion_mnist", "fashion-mnist"), ("mnist", "mnist")])
def test_idx_folders_are_read_where_they_are(home, name, folder):
    write_idx(home / folder)
    (x, y), (_, y_test) = data.load(name)
    assert len(x) in (6, 60000) and x.shape[1:] == (28, 28) and x.dtype == np.float32 and x.max() == 1
    if len(x) == 6:
        assert x[0, 0, 1] == np.float32(1) / np.float32(255) and np.array_equal(y, range(6)) and len(y_test) == 4


def test_damaged_idx_files_are_refused(tmp_path):
    for raw in (b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01x", b"\0\0\x08\x01\0\0\0\x02x", b"\0\0\x08\x02\0\0\0\x01"):
        (tmp_path / "f.gz").write_bytes(gzip.compress(raw))
        with pytest.raises(ValueError, match="not a whole idx file"):
            data.sets.read_idx(tmp_path / "f.gz")
    whole = gzip.compress(b"\0\0\x08\x01\0\0\x01\0" + np.random.default_rng(0).bytes(256), mtime=0)
    for at in range(10, len(whole), 3):  # behind gzip's own header, parts of which say nothing of the data
        for damaged in (whole[: at - 10], whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]):
            (tmp_path / "f.gz").write_bytes(damaged)
            with pytest.raises(ValueError, match=r"f\.gz is not a whole"):
                data.sets.read_idx(tmp_path / "f.gz")


def test_pictures_and_labels_that_do_not_fit_are_refused(home):
    write_idx(home / "mnist")
    labels = home / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x03abc"))
    with pytest.raises(ValueError, match=r"mnist: images of shape \(4, 28, 28\) and labels of shape \(3,\)"):
        data.load("mnist")


def test_missing_data_sets_say_what_to_do(home):
    with pytest.raises(data.FetchError, match=r"mnist is not on this machine: put the files train-images.* in "):
        data.mnist()
    with pytest.raises(ValueError, match="Known are mnist5k, digits"):
        data.load("cifar")


# -- photos ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def fetched():
    """Calls a function that fetches, and skips the test where its files cannot be had."""
    pytest.importorskip("PIL")

    def call(function, *arguments):
        try:
            return function(*arguments)
        except data.FetchError as error:
            pytest.skip(str(error))

    return call


@pytest.mark.parametrize(
    "name, shape", [("chelsea", (300, 451)), ("coffee", (400, 600)), ("astronaut", (512, 512)), ("rocket", (427, 640))]
)
def test_photos_by_name(fetched, name, shape):
    picture = fetched(data.photo, name)
    assert picture.dtype == np.uint8 and picture.shape == (*shape, 3) and picture.std() > 30


LABELS = {
    "imagenet": [243, 559, 438, 990, 949, 853, 609, 609, 915, 455, 541, 630, 741, 471, 129, 99, 251, 22, 317, 305],
    "cifar10": [3, 8, 8, 0, 6, 6, 1, 6, 3, 1, 0, 9, 5, 7, 9, 8, 5, 7, 8, 6],
    "mnist": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5, 9, 7, 3, 4],
    "fashion_mnist": [9, 2, 1, 1, 6, 1, 4, 6, 5, 7, 4, 5, 7, 3, 4, 1, 2, 4, 8, 0],
}


@pytest.mark.parametrize("name", LABELS)
def test_labelled_photos(fetched, name):
    found = fetched(data.photos, name)
    assert [label for _, label in found] == LABELS[name]
    assert all(picture.ndim == 3 and picture.shape[2] == 3 and picture.std() > 5 for picture, _ in found)


def test_unknown_photos_and_files_that_are_no_pictures(tmp_path):
    pytest.importorskip("PIL")
    with pytest.raises(ValueError, match="known are"):
        data.photo("dog")
    with pytest.raises(ValueError, match="known are"):
        data.photos("svhn")
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"a\.png is not an image"):
        data.read_image(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        data.read_image(tmp_path / "none.png")


def test_pictures_are_read_upright_and_resized_to_their_middle(tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 0] = 255
    lying = image.fromarray(picture)
    exif = lying.getexif()
    exif[0x0112] = 6  # the camera was rotated: show it rotated by 90 degrees clockwise
    lying.save(tmp_path / "a.png", exif=exif)
    upright = data.read_image(tmp_path / "a.png")
    assert upright.shape == (6, 4, 3) and upright[0, 3].tolist() == [255, 255, 255] and upright.sum() == 3 * 255
    stripes = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 50, 0)
    square = images.to_square(stripes, 50, 1.0)
    assert square.shape == (50, 50, 3) and np.array_equal(square[7, :, 1], np.arange(50, 150, 2))
    assert np.array_equal(images.to_square(stripes / 255.0, 50, 1.0), square)
    for wrong in (np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8), np.int64), np.full((8, 8), 2.0), np.zeros((0, 3))):
        with pytest.raises(ValueError, match="image"):
            images.to_square(wrong, 8, 1.0)


def test_greys_of_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    image = pytest.importorskip("PIL.Image")
    greys = np.array([[0, 257, 300, 32639, 65535]], np.uint16)
    image.fromarray(greys).save(tmp_path / "deep.png")
    picture = data.read_image(tmp_path / "deep.png")
    assert picture[0, :, 1].tolist() == [0, 1, 1, 127, 255]
    assert np.array_equal(images.to_picture(image.fromarray(greys)), picture)
    image.fromarray(greys / np.float32(65535)).save(tmp_path / "floats.tiff")
    assert np.array_equal(data.read_image(tmp_path / "floats.tiff"), picture)
    image.fromarray(greys.astype(np.int32) * 2).save(tmp_path / "deeper.tiff")
    with pytest.raises(ValueError, match="16 bits are the most"):
        data.read_image(tmp_path / "deeper.tiff")


def test_a_picture_of_one_row_does_not_fill_the_memory():
    """Enlarged whole, its short side 256, it would take 4 GB."""
    pytest.importorskip("PIL.Image")
    row = np.zeros((1, 20_001, 3), np.uint8)
    row[:, 9_990:10_011] = 200
    tracemalloc.start()
    square = images.to_square(row, 224, 256 / 224)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert square.shape == (224, 224, 3) and square.min() == 200 and most < 1e7
    column = images.to_square(row.transpose(1, 0, 2), 224, 256 / 224)
    assert np.array_equal(column, square.transpose(1, 0, 2))
