"""What notebooks and the prompt show: arrays with shape and scale, results in one short line."""

import dataclasses
import importlib
import io
import pkgutil
import re

import numpy as np
import pytest
import steep as sp
from steep import attack, data, nn, optim, pictures, saliency
from steep.display import as_html, as_png, brief, shown

LINE = 300  # letters of the text of a result


def decoded(png):
    """The pixels of a PNG file, by Pillow."""
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(io.BytesIO(png)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 1), (37, 53), (64, 64)])
@pytest.mark.parametrize("scale", [1, 3])
def test_png_files_hold_the_pixels(shape, scale):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    smooth = np.broadcast_to(np.arange(shape[1])[None, :, None], (*shape, 3)).astype(np.uint8)
    for colours in (noise, smooth):
        got = decoded(pictures.png(colours, scale))
        assert np.array_equal(got, colours.repeat(scale, 0).repeat(scale, 1))


def test_smooth_images_become_small_files():
    ramp = np.add.outer(np.arange(256), np.arange(256)).astype(np.uint8)[..., None].repeat(3, 2)
    assert len(pictures.png(ramp)) < 3000


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0), (40,), (30, 30), (2, 3, 9, 9), (5, 4, 1, 1)])
def test_a_notebook_shows_every_tensor(dtype, shape):
    x = sp.ones(shape, dtype=getattr(sp, dtype))
    html = x._repr_html_()
    assert dtype in html and (not shape or str(shape) in html)
    png = x._repr_png_()
    assert png is None or png[:4] == b"\x89PNG"
    assert x.requires_grad is False


def test_a_picture_has_a_scale_and_says_what_it_leaves_out():
    many = np.linspace(-2, 1, 20 * 100 * 100).reshape(20, 100, 100)
    value = shown(many)
    assert (
        value["labels"] == ["-2", "0", "2"] and "16 of 20 parts" in value["what"] and "one of 2 rows" in value["what"]
    )
    html = as_html(np.full((20, 20), np.nan))
    assert "400 of 400 not finite" in html
    assert min(map(int, re.findall(r"font-size:(\d+)px", html))) >= 12


def test_integers_and_bools_have_all_their_digits():
    assert shown(sp.tensor(1234567))["text"] == "1234567" and shown(np.array([True, False]))["rows"] == [
        ["True", "False"]
    ]
    assert shown(np.full(100, 10**12))["max"] == "1000000000000"
    low = np.iinfo(np.int64).min
    assert shown(np.full((30, 30), low))["labels"][2] == "9.223e+18"


def test_large_arrays_are_shown_from_a_part_of_them():
    many = np.zeros((4, 3000, 2000), np.float32)
    many[0, 0, 0] = np.nan
    value = shown(many)
    assert (
        max(value["size"]) < 200
        and value["lost"].startswith("1 of")
        and "one of 47 rows and one of 32" in value["what"]
    )


def test_a_colour_image_is_shown_as_one():
    image = np.zeros((3, 16, 16), np.float32)
    image[0] = 1
    assert decoded(as_png(image))[0, 0].tolist() == [255, 0, 0]
    assert decoded(as_png(image - 0.5))[0, 0].tolist() != [255, 0, 0]  # not within [0, 1]: signed colours


def test_a_tensor_with_a_graph_is_shown_without_a_change():
    x = sp.ones((20, 20), requires_grad=True)
    y = x * 2
    assert "made by multiply" in y._repr_html_() and "requires_grad" in x._repr_html_() and x.grad is None


@pytest.mark.parametrize("size", [400, 401, 100_000])
def test_a_shortened_text_has_the_shape(size):
    text = repr(sp.zeros(size))
    assert len(text) < 20 * 400 and ("..." in text) == (f"shape=({size},)" in text) == (size > 400)


def test_programs_are_shown_as_text():
    fast = sp.compile(lambda x: sp.tanh(x) * 2 < 1)
    assert "no programs" in fast._repr_html_()
    fast(sp.ones(3))
    html = fast._repr_html_()
    assert "instructions" in html and "tanh" in html and "fused groups" in html and "&lt;" in html


# -- results ----------------------------------------------------------------------------------------------------------


def digits():
    """A model, and four digits with their labels."""
    x, y = data.load("mnist5k").test
    return sp.zoo.load("digits_cnn"), x[:4, None], y[:4]


def descended():
    return optim.minimize(lambda w: sp.sum(w * w), sp.ones((100, 100)), lambda p: optim.SGD(p, lr=0.1), steps=30)


RESULTS = {
    "Part": lambda model, x, y: data.load("mnist5k").test,
    "Splits": lambda model, x, y: data.load("mnist5k"),
    "Result": lambda model, x, y: descended(),
    "Attack": lambda model, x, y: attack.pgd(model, x, y, eps=0.1, steps=3),
    "Ascent": lambda model, x, y: sp.ascent.maximize(sp.sum, sp.zeros((1, 1, 28, 28)), steps=12),
    "Dream": lambda model, x, y: sp.ascent.deepdream(model, "relu2", x, octaves=1, steps=2),
    "Inversion": lambda model, x, y: sp.ascent.invert(model, "relu2", x[:1], steps=2),
    "Top": lambda model, x, y: saliency.top_k(x, saliency.unit(model, "relu1", 3), k=2),
    "Cascade": lambda model, x, y: saliency.sanity.cascade(model, x, y, stages=1),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_results_are_one_short_line_and_html_with_pictures(kind):
    result = RESULTS[kind](*digits())
    text = repr(result)
    assert "\n" not in text and len(text) <= LINE and text.startswith(f"{kind}("), text
    assert f"<b>{kind}</b>" in result._repr_html_()


def test_images_in_results_are_pictures():
    found = sp.ascent.maximize(lambda v: sp.sum(v), sp.zeros((1, 1, 28, 28)), steps=3)
    assert "image=float32(1, 1, 28, 28)" in repr(found) and "data:image/png" in found._repr_html_()


ARRAYS = re.compile(r"\b(Tensor|NDArray|ndarray|Array|Picture|Colours|Points)\b")
APART = ("steep.cli", "steep.__main__", "steep._core", "steep.sklearn", "steep.distributed.mpi")
INTERNAL = {"Item"}  # of pages, which nobody prints
ANSWERS = {"UniqueAll", "UniqueCounts", "UniqueInverse"}  # of the array API, whose arrays are what was asked for


def classes():
    """Every dataclass and named tuple of the package that holds arrays."""
    for module in pkgutil.walk_packages(sp.__path__, "steep."):
        if module.name.startswith(
            ("steep.cli", "steep.__main__", "steep._core", "steep.sklearn", "steep.distributed.mpi")
        ):
            continue
        for kind in vars(importlib.import_module(module.name)).values():
            if isinstance(kind, type) and kind.__module__ == module.name and not kind.__name__.startswith("_"):
                fields = getattr(kind, "__annotations__", {})
                of_values = dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")
                if of_values and any(holds_arrays(str(text)) for text in fields.values()):
                    yield kind


def holds_arrays(annotation):
    """Whether a field is an array, or a list of arrays, and no function of them."""
    return bool(ARRAYS.search(annotation)) and "Callable" not in annotation


@pytest.mark.parametrize("kind", sorted(set(classes()), key=str), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_class_with_arrays_has_a_short_text(kind):
    if kind.__name__ not in INTERNAL | ANSWERS:
        assert kind.__repr__.__module__ == "steep.display", f"{kind} prints its arrays: put @displayed above it"


def test_values_in_a_few_words():
    assert brief(np.zeros((3, 4))) == "float64(3, 4)" and brief(sp.ones(2)) == "float32(2,)"
    assert brief([0.5] * 40) == "[0.5, 0.5, ..., 0.5] of 40" and brief((1,)) == "(1,)" and brief([]) == "[]"
    assert brief({"a": np.zeros(3), "b": 1}) == "{'a': float64(3,), 'b': 1}"
    assert brief(dict.fromkeys("abcd", 1)) == "{'a': 1, 'b': 1, 'c': 1, ...} of 4"
    assert len(brief("word " * 100)) <= 60 and brief(nn.Flatten()) == "Flatten()"


def test_a_result_draws_an_array_once():
    run = sp.ascent.maximize(lambda x: sp.sum(x), sp.ascent.pixels((1, 1, 12, 12), sp.random.Generator(0)), 2)
    page = run._repr_html_()
    assert page.count("<img") == 1 and "float32(1, 1, 12, 12), the same as image" in page
    other = sp.ascent.maximize(
        lambda x: sp.sum(x), sp.ascent.pixels((1, 1, 12, 12), sp.random.Generator(0)).then(sp.sigmoid), 2
    )
    assert other._repr_html_().count("<img") == 2
