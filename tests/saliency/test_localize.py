"""Segments and rectangles of maps: what they find, the minimum cut against SciPy's, and maps that localise nothing."""

import numpy as np
import pytest
import steep as sp
from steep import data, saliency
from steep.data.boxes import cropped
from steep.saliency.min_cut import min_cut

RNG = np.random.default_rng(0)


def spot(shape=(60, 80), at=data.Box(20, 30, 40, 60)):
    map = np.zeros(shape)
    map[at.slices] = 1.0
    return map


@pytest.mark.parametrize(
    "as_given", [np.asarray, np.negative, sp.asarray, lambda m: m.astype(np.float32), np.ndarray.tolist]
)
def test_the_rectangle_of_a_spot(as_given):
    assert saliency.box(as_given(spot()), blur=0.0) == data.Box(20, 30, 40, 60)
    assert saliency.iou(saliency.box(as_given(spot())), data.Box(20, 30, 40, 60)) > 0.7  # blurred


def test_the_largest_part_counts_and_diagonal_neighbours_are_apart():
    map = spot() + spot(at=data.Box(0, 0, 5, 5)) + spot(at=data.Box(40, 60, 45, 65))
    assert saliency.box(map, blur=0.0) == data.Box(20, 30, 40, 60)
    assert saliency.box(np.eye(5), blur=0.0) == data.Box(0, 0, 1, 1)  # the first of equals


def test_a_threshold_is_a_share_of_the_maximum():
    map = np.array([[0.0, 1.0, 2.0, 10.0]])
    assert saliency.threshold(map, level=0.15, blur=0.0).tolist() == [[False, False, True, True]]
    assert saliency.threshold(map, level=0.0, blur=0.0).tolist() == [[False, True, True, True]]
    assert saliency.box([[3.0, 1.0]], blur=0.0, level=0.5) == data.Box(0, 0, 1, 1)


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_a_graph_cut_grows_a_spot_to_its_object(channels):
    object_ = data.Box(10, 20, 50, 70)
    image = 0.2 + 0.6 * spot(at=object_) + 0.05 * RNG.normal(size=(60, 80))
    image = image if not channels else np.repeat(image[..., None], channels, -1)
    map = spot(at=data.Box(22, 30, 38, 45)) + 0.01 * RNG.random((60, 80))
    found = saliency.box(map, image, method="graph_cut")
    assert saliency.iou(found, object_) > 0.9
    assert saliency.iou(saliency.box(map, 1000 * image - 7, method="graph_cut"), object_) > 0.9
    assert saliency.graph_cut(map, image).shape == (60, 80)
    assert saliency.box(sp.asarray(map), sp.asarray(image), method="graph_cut") == found


@pytest.mark.parametrize("image", [np.zeros((40, 40)), RNG.random((40, 40, 3)), np.zeros((40, 40), np.uint8)])
def test_a_graph_cut_of_an_image_without_an_object_is_a_segment_still(image):
    assert saliency.graph_cut(spot((40, 40), data.Box(10, 10, 20, 20)), image).any()


def test_maps_of_few_values_have_examples_of_both_kinds():
    image = spot((40, 40), data.Box(10, 10, 30, 30))
    for map in (
        image,
        1.0 - 0.5 * (1 - image),
        spot((40, 40), data.Box(20, 20, 21, 21)),
        1 - spot((40, 40), data.Box(0, 0, 2, 2)),
    ):
        assert saliency.graph_cut(map, image).any()


def cut_of(source, sink, down, right, inside):
    """What a cut costs."""
    cost = source[~inside].sum() + sink[inside].sum()
    cost += (down * (inside[1:] != inside[:-1])).sum() + (right * (inside[:, 1:] != inside[:, :-1])).sum()
    return cost


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (2, 3), (9, 11), (16, 16)])
def test_the_minimum_cut_is_scipys(shape):
    sparse = pytest.importorskip("scipy.sparse")
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    for seed in range(6):
        rng = np.random.default_rng(seed)
        height, width = shape
        sizes = [shape, shape, (height - 1, width), (height, width - 1)]
        given = [rng.integers(0, 40, size) * (rng.random(size) < 0.7) for size in sizes]
        n, at = height * width, np.arange(height * width).reshape(shape)
        rows = [np.full(n, n), at.ravel(), at[:-1].ravel(), at[1:].ravel(), at[:, :-1].ravel(), at[:, 1:].ravel()]
        columns = [
            at.ravel(),
            np.full(n, n + 1),
            at[1:].ravel(),
            at[:-1].ravel(),
            at[:, 1:].ravel(),
            at[:, :-1].ravel(),
        ]
        values = [given[0], given[1], given[2], given[2], given[3], given[3]]
        parts = [np.concatenate([np.ravel(v) for v in each]) for each in (values, rows, columns)]
        graph = sparse.csr_matrix((parts[0].astype(np.int32), (parts[1], parts[2])), (n + 2, n + 2))
        inside = min_cut(*given)
        assert cut_of(*given, inside) == csgraph.maximum_flow(graph, n, n + 1).flow_value


@pytest.mark.parametrize(
    "map, words",
    [
        (np.zeros((4, 4)), "all values of the map are 0"),
        (np.full((4, 4), -2.5), "all values of the map are 2.5"),
        (np.full((4, 4), np.nan), "16 of 16 values of the map are not finite"),
        (np.array([[1.0, np.inf]]), "1 of 2 values"),
        (np.zeros((0, 4)), r"got shape \(0, 4\)"),
        (np.zeros((1, 4, 4)), r"got shape \(1, 4, 4\).*take one row"),
        (np.zeros(()), r"got shape \(\)"),
    ],
)
def test_a_map_that_localises_nothing_is_refused(map, words):
    image = np.zeros(np.shape(map))
    for call in (saliency.box, saliency.threshold, lambda m: saliency.graph_cut(m, image)):
        with pytest.raises(ValueError, match=words):
            call(map)
    if not np.isclose(np.nan_to_num(map), 2.5).any() and map.ndim == 2 and "2.5" not in words:
        with pytest.raises(ValueError, match=words):
            saliency.mass(map, np.ones(map.shape, bool))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: saliency.box(m, method="treshold"), "threshold"),
        (lambda m: saliency.box(m, method="graph_cut"), "needs the image.*got None"),
        (lambda m: saliency.graph_cut(m, np.zeros((3, 3))), r"got float64 of shape \(3, 3\)"),
        (lambda m: saliency.graph_cut(m, np.full(m.shape, np.nan)), "image has values that are not finite"),
        (lambda m: saliency.graph_cut(m, m, foreground=0.7, background=0.3), "sum to less than 1"),
        (lambda m: saliency.graph_cut(m, m, smoothness=-1.0), "smoothness"),
        (lambda m: saliency.threshold(m, level=1.0), r"in \[0, 1\)"),
        (lambda m: saliency.threshold(m, blur=float("nan")), r"in \[0, 1\)"),
        (lambda m: saliency.iou(data.Box(0, 0, 1, 1), data.Box(3, 3, 3, 9)), "without pixels"),
        (lambda m: saliency.iou(data.Box(4, 4, 1, 1), data.Box(0, 0, 3, 9)), "without pixels"),
        (lambda m: saliency.mass(m, np.ones((2, 2), bool)), "a region is"),
        (lambda m: saliency.mass(m, np.ones(m.shape)), "got float64"),
        (lambda m: min_cut(m, m, m, m), "min_cut"),
        (lambda m: min_cut(-m, m, m[1:], m[:, 1:]), "non-negative"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(spot((10, 12), data.Box(2, 2, 5, 5)))


def test_intersection_over_union_and_mass():
    a = data.Box(0, 0, 4, 4)
    assert saliency.iou(a, a) == 1 and saliency.iou(a, data.Box(0, 4, 4, 8)) == 0
    assert saliency.iou(a, data.Box(2, 2, 6, 6)) == saliency.iou(data.Box(2, 2, 6, 6), a) == pytest.approx(4 / 28)
    map = np.array([[1.0, -1.0], [2.0, 0.0]])
    assert saliency.mass(map, data.Box(0, 0, 1, 2)) == 0.5 == saliency.mass(map, np.array([[1, 1], [0, 0]], bool))
    assert saliency.mass(np.full((2, 2), 3.0), data.Box(0, 0, 1, 1)) == 0.25
    assert saliency.mass(map, data.Box(5, 5, 6, 6)) == 0


def test_a_rectangle_follows_its_image_into_the_square():
    image = np.zeros((120, 200))
    box = data.Box(30, 80, 90, 130)
    image[box.slices] = 1.0
    pytest.importorskip("PIL")
    square = data.images.to_square(image, 96, 8 / 7)[..., 0] / 255
    rows, columns = np.nonzero(square > 0.5)
    found = cropped(box, image.shape, 96, 8 / 7)
    assert np.abs(np.subtract(found, (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))).max() <= 1
    assert cropped(data.Box(0, 0, 5, 5), image.shape, 96, 8 / 7).area == 0
