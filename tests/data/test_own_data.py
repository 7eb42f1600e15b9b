"""One's own data: folders of pictures, tables, files of usual formats, parts, augmentations and threads."""

import gzip
import pickle
import threading
import types

import numpy as np
import pytest
from steep import data, nn
from steep.data import rows
from steep.training import Recipe, fit

RNG = np.random.default_rng(0)


@pytest.fixture
def image():
    return pytest.importorskip("PIL.Image")


@pytest.fixture
def animals(tmp_path, image):
    """Pictures of several formats and sizes in two classes, and a file that is none."""
    for name, shade in (("cats", 60), ("dogs", 200)):
        (tmp_path / name / "more").mkdir(parents=True)
        for number, suffix in enumerate(("png", "jpg", "bmp")):
            picture = np.full((8 + number, 12, 3), shade, np.uint8)
            image.fromarray(picture).save(tmp_path / name / f"{number}.{suffix}")
        image.fromarray(np.full((9, 9), shade * 257, np.uint16)).save(tmp_path / name / "more" / "deep.PNG")
    (tmp_path / "cats" / "readme.txt").write_text("cats")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


# -- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_is_read_in_order_with_mixed_sizes_and_depths(animals):
    found = data.folder(animals, size=8)
    assert found.classes == ["cats", "dogs"] and found.labels.tolist() == [0] * 4 + [1] * 4
    assert [path.name for path in found.files[:4]] == ["0.png", "1.jpg", "2.bmp", "deep.PNG"]
    assert [path.name for path in found.ignored] == ["readme.txt"]
    for index, (x, y) in enumerate(found[i] for i in range(8)):
        assert x.shape == (3, 8, 8) and x.dtype == np.float32 and y == index // 4
        assert np.abs(x - [60, 200][y] / 255).max() < 2 / 255
    x, y = found.batch(np.array([7, 0]))
    assert y.tolist() == [1, 0] and np.array_equal(x[1], found[0][0])
    grey = data.folder(animals, size=8, grey=True)[5][0]
    assert grey.shape == (1, 8, 8) and abs(grey.mean() - 200 / 255) < 2 / 255


def test_pictures_of_several_sizes_need_one(animals):
    with pytest.raises(ValueError, match=r"1\.jpg has 9 by 12 pixels, and .*0\.png has 8 by 12: give a size"):
        data.folder(animals).batch(np.arange(2))


def test_exif_is_followed(tmp_path, image):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 0] = 255
    lying = image.fromarray(picture)
    exif = lying.getexif()
    exif[0x0112] = 6
    (tmp_path / "a").mkdir()
    lying.save(tmp_path / "a" / "1.png", exif=exif)
    assert data.folder(tmp_path)[0][0][:, 0, 3].tolist() == [1.0, 1.0, 1.0]


def test_a_damaged_picture_is_named_or_left_out(animals):
    path = animals / "dogs" / "1.jpg"
    path.write_bytes(path.read_bytes()[:200])
    (animals / "cats" / "9.png").write_bytes(b"no picture")
    found = data.folder(animals, size=8)
    with pytest.raises(ValueError, match=r"picture 6: .*dogs.1\.jpg"):
        found.batch(np.array([5, 6]))
    with pytest.raises(ValueError, match=r"picture 3: .*cats.9\.png is not an image"):
        list(data.DataLoader(found, 3, workers=2))
    fine = data.folder(animals, size=8, errors="skip")
    assert len(fine) == 7 and fine.labels.tolist() == [0] * 4 + [1] * 3
    assert [skipped.name for skipped, _ in fine.skipped] == ["9.png", "1.jpg"]
    assert "not an image" in fine.skipped[0][1]
    assert len(next(iter(data.DataLoader(fine, 7)))[1]) == 7


def test_folders_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(NotADirectoryError):
        data.folder(tmp_path / "none")
    with pytest.raises(ValueError, match="has no subfolders"):
        data.folder(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"a holds no pictures \(\.png"):
        data.folder(tmp_path)
    with pytest.raises(ValueError, match="errors must be one of"):
        data.folder(tmp_path, errors="ignore")


def test_a_folder_trains(animals):
    found = data.folder(animals, size=8)
    recipe = Recipe(epochs=30, batch_size=4, lr=0.05, shift=0)
    runs = [fit(model_of(), found, found, recipe, workers=workers) for workers in (0, 2)]
    assert runs[0].test_accuracy == 1 and runs[0].losses == runs[1].losses


def model_of():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2, generator=0))


# -- tables -------------------------------------------------------------------------------------------------------

CSV = "size,colour,price\n1,red,10\n3,blue,20\n2, red ,15.5\n"
COLUMNS = {"size": [1.0, 3.0, 2.0], "colour": ["red", "blue", "red"], "price": [10, 20, 15.5]}


class Frame:
    """What pandas and polars frames have in common."""

    def __init__(self, columns):
        self.values, self.columns = columns, list(columns)

    def __getitem__(self, name):
        values = np.array(self.values[name], object if isinstance(self.values[name][0], str) else None)
        return types.SimpleNamespace(to_numpy=lambda: values)


def structured():
    kinds = [("size", float), ("colour", "U5"), ("price", float)]
    return np.array(list(zip(*COLUMNS.values(), strict=True)), kinds)


@pytest.mark.parametrize("kind", ["csv", "dict", "frame", "structured"])
def test_tables_of_every_kind_are_the_same(kind, tmp_path):
    (tmp_path / "x.csv").write_text(CSV)
    sources = {"csv": tmp_path / "x.csv", "dict": COLUMNS, "frame": Frame(COLUMNS), "structured": structured()}
    found = data.table(sources[kind], target="price")
    assert found.names == ["size", "colour=blue", "colour=red"] and found.y.tolist() == [10, 20, 15.5]
    root = np.sqrt(1.5)
    assert np.allclose(found.x, [[-root, 0, 1], [root, 1, 0], [0, 0, 1]]) and found.x.dtype == np.float32
    again = found.encode({"colour": ["blue"], "size": [2.0]})
    assert again.x.tolist() == [[0, 1, 0]] and again.y is None and len(again) == 1
    plain = data.table(sources[kind], target="price", scale=False, drop=["colour"])
    assert plain.x.tolist() == [[1], [3], [2]] and plain[1][1] == 20


def test_a_target_of_categories_is_their_indices():
    found = data.table(COLUMNS, target="colour")
    assert found.classes == ["blue", "red"] and found.y.tolist() == [1, 0, 1] and found.y.dtype == np.int64
    assert found.decode([[0.0, 1.0], [1.0, 0.0]]).tolist() == ["red", "blue"] == found.decode([1, 0]).tolist()
    numbers = data.table(np.array([[1.0, 2.0], [2.0, 2.0], [1.0, 3.0]]), target=1, categories=["1"])
    assert numbers.classes == ["2", "3"] and numbers.y.tolist() == [0, 0, 1] and numbers.names == ["0"]
    truths = data.table({"a": [True, False], "b": [1, 2]})
    assert truths.names == ["a=False", "a=True", "b"] and len(truths) == 2
    with pytest.raises(ValueError, match="holds numbers, and has no classes"):
        data.table(COLUMNS, target="price").decode([0])


def test_missing_values_are_named_or_replaced(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,y\n1,u,1\n,v,2\n3,NA,3\n5,u,4\n")
    with pytest.raises(ValueError, match=r"column 'a' has no value in 1 of 4 rows \(1\); missing='drop'"):
        data.table(tmp_path / "x.csv", target="y")
    dropped = data.table(tmp_path / "x.csv", target="y", missing="drop", scale=False)
    assert dropped.dropped == [1, 2] and dropped.x.tolist() == [[1, 1], [5, 1]] and dropped.y.tolist() == [1, 4]
    mean = data.table(tmp_path / "x.csv", target="y", missing="mean", scale=False)
    assert mean.names == ["a", "b=u", "b=v", "b="] and mean.x[:, 0].tolist() == [1, 3, 3, 5]
    assert mean.x[2].tolist() == [3, 0, 0, 1]
    zero = data.table({"a": [1.0, None], "y": [0, 1]}, target="y", missing=7, scale=False)
    assert zero.x.tolist() == [[1], [7]]
    with pytest.raises(ValueError, match="missing must be a number or one of"):
        data.table(COLUMNS, missing="median")


def test_malformed_tables_are_refused_with_their_lines(tmp_path):
    path = tmp_path / "x.csv"
    for text, words in (
        ("a,b\n1,2\n3\n", r"line 3: 1 values, and there are 2 columns"),
        ("a,b\n1,2,3\n", r"line 2: 3 values"),
        ("a,a\n1,2\n", "name the columns, each once"),
        ("", "name the columns"),
        ("a,b\n", "holds no rows"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            data.table(path)
    with pytest.raises(ValueError, match=r"no column 'prise'.*price"):
        data.table(COLUMNS, target="prise")
    with pytest.raises(ValueError, match="columns must be of one length"):
        data.table({"a": [1], "b": [1, 2]})
    found = data.table(COLUMNS, target="price")
    with pytest.raises(ValueError, match="column 'colour', row 1: 'green' is no category among 'blue', 'red'"):
        found.encode({"size": [1, 2], "colour": ["red", "green"]})
    with pytest.raises(ValueError, match="column 'size', row 0: 'large' is not a number"):
        found.encode({"size": np.array(["large"], object), "colour": ["red"]})
    with pytest.raises(TypeError, match="needs a path"):
        data.table(3)


# -- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code, kind", [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_idx_files_of_every_type(tmp_path, code, kind):
    values = RNG.integers(0, 100, (2, 3)).astype(kind)
    raw = bytes([0, 0, code, 2]) + np.array([2, 3], ">u4").tobytes() + values.tobytes()
    for content in (raw, gzip.compress(raw)):
        (tmp_path / "x").write_bytes(content)
        found = data.read_idx(tmp_path / "x")
        assert np.array_equal(found, values) and found.dtype.isnative
    for damaged in (raw[:-1], raw + b"x", raw[:6], b"", b"\0\0\x0a\1" + raw[4:]):
        (tmp_path / "x").write_bytes(damaged)
        with pytest.raises(ValueError, match="not a whole idx file"):
            data.read_idx(tmp_path / "x")


def test_npz_files_hold_samples_and_labels(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.full((2, 4), 255, np.uint8), y=[1, 0], z=[0.5, 1.5, 2.5])
    part = data.npz(tmp_path / "d.npz", x="images")
    assert part.x.tolist() == [[1.0] * 4] * 2 and part.y.dtype == np.int64
    with pytest.raises(ValueError, match="has no array 'x'; it has images, y, z"):
        data.npz(tmp_path / "d.npz")
    with pytest.raises(ValueError, match="do not fit"):
        data.npz(tmp_path / "d.npz", x="images", y="z")


TEN = [f"data_batch_{i}" for i in range(1, 6)]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("coarse", [None, False, True])
def test_cifar_of_every_version(tmp_path, binary, coarse):
    pixels = RNG.integers(0, 256, (2, 3072)).astype(np.uint8)
    for name in [*TEN, "test_batch"] if coarse is None else ["train", "test"]:
        marks = [3, 1] if coarse is None else [[9, 3], [5, 1]]
        if binary:
            heads = np.array(marks, np.uint8).reshape(2, -1)
            (tmp_path / f"{name}.bin").write_bytes(np.concatenate([heads, pixels], axis=1).tobytes())
        else:
            names = {b"labels": [3, 1]} if coarse is None else {b"coarse_labels": [9, 5], b"fine_labels": [3, 1]}
            with (tmp_path / name).open("wb") as file:
                pickle.dump({b"data": pixels, **names}, file, protocol=2)
    train, test = data.cifar(tmp_path, coarse=bool(coarse))
    assert len(train.y) == (10 if coarse is None else 2) and test.x.shape == (2, 3, 32, 32)
    assert test.y.tolist() == ([9, 5] if coarse else [3, 1])
    assert np.array_equal(np.rint(test.x * 255).astype(np.uint8).reshape(2, -1), pixels)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_a_pickle_that_names_a_function_is_refused(tmp_path, capsys):
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match=r"names (builtins|__builtin__)\.print"):
        data.cifar(tmp_path)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="holds no version of CIFAR"):
        data.cifar(tmp_path / "train")


# -- parts --------------------------------------------------------------------------------------------------------


def test_a_split_is_a_permutation_of_the_seed():
    x = np.arange(20)
    train, validation, test = data.split(data.Part(x, x % 4), 0.25, 0.25, seed=3)
    assert sorted([*train.x, *validation.x, *test.x]) == x.tolist() and [len(train.x), len(test.x)] == [10, 5]
    assert np.array_equal(data.split((x,), seed=3)[0][0], data.split((x,), seed=3)[0][0])
    assert not np.array_equal(data.split((x,), seed=3)[0][0], data.split((x,), seed=4)[0][0])
    parts = data.split((x, x % 4), 0.4, stratify=True)
    assert [np.bincount(y).tolist() for _, y in parts] == [[3, 3, 3, 3], [2, 2, 2, 2]]
    for shares in ((0.5, 0.5), (0.0,), (0.01,)):
        with pytest.raises(ValueError, match="split"):
            data.split((x,), *shares)


def test_parts_of_data_sets_are_data_sets(animals):
    train, test = data.split(data.folder(animals, size=8), 0.25, stratify=True)
    assert sorted(test.labels) == [0, 1] and test.classes == ["cats", "dogs"]
    assert np.array_equal(np.asarray(next(iter(data.DataLoader(test, 2)))[1]), test.labels)
    changed = data.split(data.augmented(train, rows.Flip()), 0.5)[1]
    assert changed.sample(0, 3)[0].shape == (3, 8, 8)


# -- augmentations ------------------------------------------------------------------------------------------------

PICTURE = RNG.random((3, 9, 11), np.float32)
ROWS = [
    rows.Crop(7, 2), rows.Resize(5, 6), rows.ResizedCrop(6), rows.Flip(), rows.Rotate(30), rows.Colour(0.5, 0.5, 0.5),
    rows.Cutout(4), rows.RandAugment(3, 0.9),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_draws_from_the_key_of_its_sample(row):
    pytest.importorskip("PIL")
    seen = [row(PICTURE, data.Draw(1, 2, i)) for i in (0, 1, 2, 3, 4, 5, 0)]
    assert np.array_equal(seen[0], seen[-1]) and seen[0].dtype == np.float32
    assert len({s.tobytes() for s in seen}) > 1 or isinstance(row, rows.Resize)
    assert all(s.min() >= -1e-6 and s.max() <= 1 + 1e-6 for s in seen)


@pytest.mark.parametrize("name", rows.OPERATIONS)
def test_every_operation_of_randaugment_keeps_shape_and_range(name):
    amount, _, change = rows.OPERATIONS[name]
    for magnitude in (0.0, 0.5, 1.0):
        found = change(PICTURE, amount(magnitude))
        assert found.shape == PICTURE.shape and found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1


def test_geometry_by_hand():
    square = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    assert np.allclose(rows.rotated(square, 90)[0], np.rot90(square[0]), atol=1e-5)
    assert np.allclose(rows.warped(square, [[1, 0, 1], [0, 1, 0]])[0], [[3, 4, 5], [6, 7, 8], [0, 0, 0]])
    assert np.allclose(rows.warped(square, [[1, 0, 0], [0, 1, 0.5]])[0, 0], [0.5, 1.5, 1.0])
    assert np.array_equal(rows.Crop(3, 0)(square, data.Draw(0, 0, 0)), square)
    with pytest.raises(ValueError, match="no square of 4 pixels in 3 by 3"):
        rows.Crop(4)(square, data.Draw(0, 0, 0))
    assert np.allclose(rows.contrasted(PICTURE, 0.0), rows.grey_of(PICTURE).mean(), atol=1e-5)
    assert np.allclose(rows.saturated(PICTURE, 0.0), rows.grey_of(PICTURE), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_draws_from_the_beta_distribution(alpha):
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1))."""
    draws = [data.Draw(0, 0, i).beta(alpha) for i in range(4000)]
    assert abs(np.mean(draws) - 0.5) < 0.03
    assert np.var(draws) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@pytest.mark.parametrize("mix", [data.Mixup(0.4), data.CutMix()])
def test_mixed_samples_have_mixed_labels(mix):
    x = np.zeros((8, 1, 6, 6), np.float32)
    x[4:] = 1
    y = (np.arange(8) >= 4).astype(np.int64)
    found = data.augmented((x, y), mix=mix, seed=1)
    for index in range(8):
        picture, chances = found.sample(index, 0)
        assert np.allclose(picture.mean(), chances[1], atol=1e-6) and np.isclose(chances.sum(), 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, generator=0))
    done = fit(model, found, (x, y), Recipe(epochs=30, batch_size=4, lr=0.1))
    assert done.test["accuracy"] == 1
    with pytest.raises(ValueError, match="sample 7 has the label 1, and there are 1 classes"):
        data.augmented((x, y), mix=mix, classes=1)[7]


# -- threads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_change_nothing_but_the_time(workers):
    pytest.importorskip("PIL")
    source = data.augmented((RNG.random((11, 3, 8, 8), np.float32), np.arange(11)), rows.RandAugment(), rows.Crop(6))
    plain, threaded = (data.DataLoader(source, 4, shuffle=True, seed=2, workers=w) for w in (0, workers))
    epochs = [[[np.asarray(part).tobytes() for part in batch] for batch in loader] for loader in (plain, threaded)]
    assert epochs[0] == epochs[1]
    again = [[np.asarray(part).tobytes() for part in batch] for batch in threaded]
    assert again == [[np.asarray(part).tobytes() for part in batch] for batch in plain] != epochs[0]


def test_a_loader_with_threads_goes_on_where_it_was_and_leaves_no_thread():
    loader = data.DataLoader(data.TensorDataset(np.arange(20)), 2, workers=3)
    running = iter(loader)
    first = [next(running).tolist() for _ in range(3)]
    state = loader.state_dict()
    running.close()
    other = data.DataLoader(data.TensorDataset(np.arange(20)), 2, workers=2)
    other.load_state_dict(state)
    assert first + [batch.tolist() for batch in other] == [[i, i + 1] for i in range(0, 20, 2)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("steep-loader")]


def test_a_rank_reads_its_rows_alone():
    seen = []

    class Noted(data.TensorDataset):
        def batch(self, indices):
            seen.extend(indices.tolist())
            return super().batch(indices)

    loader = data.DataLoader(Noted(np.arange(8)), 4, rows=(1, 3))
    assert [batch.tolist() for batch in loader] == [[1, 2], [5, 6]] and seen == [1, 2, 5, 6]


def test_samples_of_several_shapes_are_named():
    class Ragged:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return np.zeros(i + 1)

    with pytest.raises(ValueError, match=r"sample 1 has shape \(2,\), and sample 0 \(1,\); resize or crop"):
        list(data.DataLoader(Ragged(), 2))
    with pytest.raises(ValueError, match="workers must not be negative"):
        data.DataLoader(Ragged(), workers=-1)
