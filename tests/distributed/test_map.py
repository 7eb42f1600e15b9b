"""Methods over data sets and sweeps: the same bits for any chunk and executor, resumed files, named failures."""

import json
import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
import steep as sp
from steep import ascent, attack, data, nn, saliency
from steep import distributed as dist
from steep.random import Generator

RNG = np.random.default_rng(0)
X = RNG.random((23, 1, 6, 6), np.float32)
Y = RNG.integers(0, 3, 23)


def network():
    source = Generator(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, generator=source), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.5, generator=source), nn.Linear(64, 3, generator=source),
    )  # fmt: skip


METHODS = {
    "gradient": (saliency.gradient, (X,)),
    "smoothgrad": (partial(saliency.smoothgrad, samples=3), (X, Y)),
    "integrated": (partial(saliency.integrated_gradients, steps=4), (X, Y)),
    "fgsm": (partial(attack.fgsm, eps=0.1), (X, Y)),
    "pgd": (partial(attack.pgd, eps=0.1, steps=3), (X, Y)),
    "pgd from random points": (partial(attack.pgd, eps=0.1, steps=3, generator=Generator(5)), (X, Y)),
}


def same(one, other):
    return one.keys() == other.keys() and all(one[k].tobytes() == other[k].tobytes() for k in one)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as found:
        yield found


@pytest.mark.parametrize("name", METHODS)
def test_the_same_bits_for_any_chunk_and_executor(name, pool):
    method, given = METHODS[name]
    whole = dist.map(method, network(), given, chunk=23).arrays()
    for chunk, executor in ((1, None), (5, None), (16, ThreadPoolExecutor(2)), (7, pool)):
        assert same(dist.map(method, network(), given, chunk=chunk, executor=executor).arrays(), whole), chunk
    if "smoothgrad" in name or "random" in name:
        other = dist.map(method, network(), given, seed=1).arrays()
        assert not same(other, whole)


def test_chunks_of_hundreds_of_rows_are_the_bits_of_small_ones():
    """ "auto" would split products of 256 rows and more where the processor has AMX."""
    model = nn.Sequential(nn.Linear(160, 200, generator=0), nn.Tanh(), nn.Linear(200, 3, generator=1))
    x = RNG.standard_normal((300, 160)).astype(np.float32)
    with sp.matmul_precision("auto"):
        whole, parts = (dist.map(saliency.gradient, model, x, chunk=chunk).arrays() for chunk in (300, 70))
    assert same(whole, parts)


def test_the_result_is_that_of_the_method():
    model = network()
    found = dist.map(saliency.gradient, model, X, chunk=4)
    assert model.training and np.array_equal(found.arrays()["result"], np.asarray(saliency.gradient(model, X)))
    assert [len(chunk["result"]) for chunk in found.chunks()] == [4, 4, 4, 4, 4, 3] and found.files == []


def test_files_are_kept_and_what_is_missing_is_made(tmp_path, pool):
    options = {"chunk": 5, "out": tmp_path / "maps", "executor": pool}
    method = partial(saliency.smoothgrad, samples=2)
    whole = dist.map(method, network(), data.TensorDataset(X, Y), **options)
    assert [path.name for path in whole.files] == [f"{i:09d}.safetensors" for i in range(0, 23, 5)]
    before = {path: path.read_bytes() for path in whole.files}
    whole.files[2].unlink()
    seen = []

    def counted(model, x, y, generator):
        seen.append(len(x))
        return saliency.smoothgrad(model, x, y, samples=2, generator=generator)

    assert same(dist.map(method, network(), (X, Y), chunk=5, out=tmp_path / "maps").arrays(), whole.arrays())
    assert {path: path.read_bytes() for path in whole.files} == before and seen == []
    assert json.loads((tmp_path / "maps" / "map.json").read_text())["samples"] == 23


def test_a_folder_of_other_results_is_refused(tmp_path):
    dist.map(saliency.gradient, network(), X, chunk=10, out=tmp_path)
    other = network()
    with sp.no_grad():
        other[0].weight[...] = 0.0
    for words, model, given, options in (
        ("method 'steep.saliency.maps.gradient', not of .*smoothgrad", network(), X, {"method": saliency.smoothgrad}),
        ("model", other, X, {}),
        ("samples 23, not of 20", network(), X[:20], {}),
        ("data", network(), X + 1, {}),
        ("chunk 10, not of 5", network(), X, {"chunk": 5}),
        ("seed 0, not of 3", network(), X, {"seed": 3}),
    ):
        method = options.pop("method", saliency.gradient)
        with pytest.raises(ValueError, match=f"holds results of {words}"):
            dist.map(method, model, given, **{"chunk": 10, "out": tmp_path, **options})


def fragile(model, x):
    if (np.asarray(x) > 0.999).any():
        raise ValueError("too bright")
    return x * 2


def test_failures_are_named_or_skipped(tmp_path):
    x = np.minimum(X, 0.9)
    x[11, 0, 0, 0] = 1.0
    with pytest.raises(RuntimeError, match="samples 10 to 14 failed by ValueError: too bright"):
        dist.map(fragile, network(), x, chunk=5)
    found = dist.map(fragile, network(), x, chunk=5, errors="skip", out=tmp_path)
    assert found.failures == [(10, "ValueError: too bright")] and len(found.files) == 4
    assert len(found.arrays()["result"]) == 18
    with pytest.raises(ValueError, match="errors must be one of"):
        dist.map(fragile, network(), x, errors="ignore")
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        dist.map(fragile, network(), x, chunk=0)
    with pytest.raises(RuntimeError, match=r"'x' has the shape .* one row for each"):
        dist.map(partial(attack.fgsm, eps=[0.1, 0.2]), network(), (X, Y), chunk=5)


def drawing(model, x):
    return x + Generator(0).normal(tuple(x.shape))


def test_draws_without_a_key_are_refused():
    with pytest.raises(RuntimeError, match="draws random numbers, and has no parameter 'generator'"):
        dist.map(drawing, network(), X)


def deadly(mark, model, x):
    if not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return x * 2


def test_a_killed_worker_costs_a_call_and_no_result(tmp_path):
    method = partial(deadly, tmp_path / "mark")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as broken, pytest.raises(RuntimeError) as caught:
        dist.map(method, network(), X, chunk=5, executor=broken, out=tmp_path / "maps")
    assert isinstance(caught.value.__cause__, BrokenProcessPool)
    found = dist.map(method, network(), X, chunk=5, out=tmp_path / "maps")
    assert np.array_equal(found.arrays()["result"], X * 2)


def test_few_tasks_wait_at_a_time():
    class Counting(ThreadPoolExecutor):
        alive = most = 0

        def submit(self, *call):
            self.alive += 1
            self.most = max(self.most, self.alive)
            future = super().submit(*call)
            future.add_done_callback(lambda _: setattr(self, "alive", self.alive - 1))
            return future

    with Counting(2) as executor:
        dist.map(saliency.gradient, network(), X, chunk=1, executor=executor)
    assert executor.most <= 4


def test_a_folder_of_pictures_is_read_where_it_is_mapped(tmp_path, pool):
    image = pytest.importorskip("PIL.Image")
    for number in range(6):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        picture = RNG.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        image.fromarray(picture).save(tmp_path / "ab"[number % 2] / f"{number}.png")
    found = data.folder(tmp_path, size=6, grey=True)
    here = dist.map(saliency.gradient, network(), found, chunk=2).arrays()
    assert same(dist.map(saliency.gradient, network(), found, chunk=4, executor=pool).arrays(), here)


def power(a, b):
    if a == 2 and b == 3:
        raise ZeroDivisionError("no")
    return a**b


def test_a_sweep_is_resumed_and_in_order(tmp_path, pool):
    grid = {"a": [2, 3], "b": (1, 2, 3)}
    points = dist.sweep(power, grid, out=tmp_path, executor=pool, errors="skip")
    assert [p.result for p in points] == [2, 4, None, 3, 9, 27] and points[2].error == "ZeroDivisionError: no"
    assert points[5].config == {"a": 3, "b": 3} and len(list(tmp_path.iterdir())) == 5
    again = dist.sweep(lambda a, b: -1, grid, out=tmp_path)
    assert [p.result for p in again] == [2, 4, -1, 3, 9, 27]
    with pytest.raises(RuntimeError, match=r"sweep: {'a': 2, 'b': 3} failed by ZeroDivisionError: no"):
        dist.sweep(power, grid)


# -- the tree -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5, 8])
def test_a_sum_is_the_same_bits_whoever_computes_which_shard(ranks):
    values = RNG.normal(size=(8, 50)).astype(np.float32) * 10.0 ** RNG.integers(-6, 6, (8, 50))
    values[2, :3], values[5, 3] = [np.nan, np.inf, -0.0], -np.inf
    pairs = [values[i] + values[i + 1] for i in range(0, 8, 2)]
    with np.errstate(invalid="ignore"):
        wanted = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3])
    folds = [dist.Fold(8) for _ in range(ranks)]
    for rank, fold in enumerate(folds):
        for shard in range(rank * 8 // ranks, (rank + 1) * 8 // ranks):
            fold.add(shard, [values[shard]])
    whole = dist.Fold(8)
    for fold in folds[::-1]:
        whole.merge(fold.nodes)
    assert whole.total()[0].tobytes() == wanted.tobytes()
    assert max(len(fold.nodes) for fold in folds) <= 4


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("give", ["give", "add"])
def test_tensors_and_arrays_are_added_to_the_same_bits(give, dtype):
    """Sums that become complete together are added in one pass; neither order nor what was given matters."""
    values = RNG.normal(size=(16, 3, 700)) * 10.0 ** RNG.integers(-6, 6, (16, 3, 700))
    if dtype != "int64":
        values[2, 0, :3], values[5, 0, 3] = [np.nan, np.inf, -0.0], -np.inf
    values = values.astype(dtype)
    given = [[sp.tensor(values[i, 0]), sp.tensor(values[i, 1:].T).T] for i in range(16)]
    for order in (range(16), RNG.permutation(16)):
        arrays, tensors = dist.Fold(16), dist.Fold(16)
        for shard in order:
            with np.errstate(invalid="ignore"):
                arrays.add(shard, [values[shard, 0], values[shard, 1:]])
            getattr(tensors, give)(shard, given[shard])
        for ours, wanted in zip(tensors.total(), arrays.total(), strict=True):
            assert np.asarray(ours).tobytes() == wanted.tobytes()
    for shard, (first, rest) in enumerate(given):
        assert first.numpy().tobytes() + rest.numpy().tobytes() == values[shard].tobytes()


def test_sums_of_many_shapes():
    """More than a compiled function takes programs for."""
    for n in range(40):
        fold = dist.Fold(4)
        for shard in range(4):
            fold.add(shard, [sp.full((n, 3), shard), sp.full((3, n), shard)])
        assert [np.asarray(t).tolist() for t in fold.total()] == [[[6.0] * 3] * n, [[6.0] * n] * 3]


def test_a_shard_with_fewer_values_is_refused():
    fold = dist.Fold(2)
    fold.add(0, [sp.ones(3), sp.ones(2)])
    with pytest.raises(ValueError, match="one shard has 1 values and another 2"):
        fold.add(1, [sp.ones(3)])


def test_what_is_given_away_is_not_copied():
    values = RNG.normal(size=(4, 50)).astype(np.float32)
    ours, theirs = dist.Fold(4), dist.Fold(4)
    for shard in (3, 0, 1, 2):
        ours.give(shard, [values[shard]])
        theirs.add(shard, [values[shard]])
        assert list(ours.nodes) == list(theirs.nodes)
        assert all(node[0] or found[0].base is values for node, found in ours.nodes.items())
    assert ours.total()[0].tobytes() == theirs.total()[0].tobytes()


def in_tree(values):
    """The sum of the leaves as a balanced tree adds them."""
    return values[0] if len(values) == 1 else in_tree(values[: len(values) // 2]) + in_tree(values[len(values) // 2 :])


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1), RNG.permutation(8)], ids=["up", "down", "any"])
@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("shards", [1, 2, 8])
def test_a_caller_adds_to_what_waits(shards, halves, order):
    """Shards that ``take`` finds a neighbour for are added by the caller, to the same bits."""
    values = RNG.normal(size=(shards, 50)).astype(np.float32) * 10.0 ** RNG.integers(-6, 6, (shards, 50))
    fold, taken = dist.Fold(shards, halves), 0
    for shard in (i for i in order if i < shards):
        waiting = fold.take(shard)
        if waiting is None:
            fold.give(shard, [values[shard].copy()])
            continue
        taken += 1
        waiting[0] += values[shard]
        fold.give(shard, waiting, pair=True)
    assert taken == shards // 2
    ends = fold.halves() if halves else [fold.total()]
    assert len(ends) == (2 if halves and shards > 2 else 1)
    assert sum((end[0] for end in ends[1:]), ends[0][0]).tobytes() == in_tree(list(values)).tobytes()


def test_taking_forgets_and_halves_are_asked_for_when_all_is_there():
    fold = dist.Fold(4, halves=True)
    fold.give(0, [1.0])
    assert fold.take(2) is None and fold.take(1) == [1.0] and fold.take(1) is None and not fold.nodes
    for call in (fold.halves, fold.total):
        with pytest.raises(ValueError, match="not all of the 4 shards"):
            call()
    for call in (fold.take, lambda shard: fold.give(shard, [1.0], pair=True)):
        with pytest.raises(ValueError, match="shard 4 is not among 4"):
            call(4)


def test_shards_that_there_are_not():
    with pytest.raises(ValueError, match="power of two, got 6"):
        dist.Fold(6)
    with pytest.raises(ValueError, match="shard 4 is not among 4"):
        dist.Fold(4).add(4, [1.0])
    with pytest.raises(ValueError, match="shard -1 is not among 4"):
        dist.Fold(4).give(-1, [1.0])
    fold = dist.Fold(2)
    fold.add(0, [1.0])
    with pytest.raises(ValueError, match="not all of the 2 shards"):
        fold.total()


@pytest.mark.parametrize("kind", [np.asarray, sp.tensor], ids=["arrays", "tensors"])
def test_a_fold_neither_changes_what_it_was_given_nor_follows_it(kind):
    fold, given = dist.Fold(4), [kind([float(i), -1.0]) for i in range(4)]
    shared = kind([10.0, 20.0])
    for shard in (2, 3, 0, 1):
        fold.add(shard, [given[shard], shared, shared])
    assert [np.asarray(g).tolist() for g in given] == [[float(i), -1.0] for i in range(4)]
    given[0][0] = 99.0
    assert [np.asarray(t).tolist() for t in fold.total()] == [[6.0, -4.0], [40.0, 80.0], [40.0, 80.0]]


def drawn(model, channels, generator):
    """A picture for each channel, found by ascent from noise: a feature visualisation as a method of samples."""
    start = generator.normal((len(channels), 1, 6, 6)) * 0.1
    at = np.arange(len(channels)), np.asarray(channels)

    def score(x):
        return sp.mean(model.activations(x, "0")["0"], axis=(2, 3))[at].sum()

    return ascent.maximize(score, start, 3).image


@pytest.mark.parametrize("executor", [None, "pool"])
def test_feature_visualisation_of_channels(executor, request):
    given = None if executor is None else request.getfixturevalue(executor)
    whole = dist.map(drawn, network(), np.arange(4), chunk=4, seed=3).arrays()["result"]
    found = dist.map(drawn, network(), np.arange(4), chunk=1, seed=3, executor=given).arrays()["result"]
    assert whole.shape == (4, 1, 6, 6) and found.tobytes() == whole.tobytes()
    assert len({picture.tobytes() for picture in whole}) == 4


def outputs_of(x):
    return UNITS.activations(x, "0")["0"]


UNITS = network()


@pytest.mark.parametrize("batch_size", [1, 7, 23])
def test_top_k_is_the_same_by_any_executor(batch_size, pool):
    unit = saliency.unit(UNITS, "0", 2)
    whole = saliency.top_k(X, unit, k=5)
    for executor in (ThreadPoolExecutor(2), pool):
        found = saliency.top_k(X, unit, 5, batch_size, executor)
        for name in ("indices", "values", "positions"):
            assert getattr(found, name).tobytes() == getattr(whole, name).tobytes()
        by_channel = saliency.top_k_by_channel(X, outputs_of, 5, batch_size, executor)
        assert [top.indices.tolist() for top in by_channel][2] == whole.indices.tolist() and len(by_channel) == 4
    scores = saliency.top_k(X, sp.nn.Flatten(), 3, 5, pool)
    assert scores.indices.tolist() == saliency.top_k(X, sp.nn.Flatten(), 3).indices.tolist()
