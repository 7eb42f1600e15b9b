"""Rows 2, 3, 6, 7, 10, 12, 18, 22, 25 and 35 of docs/notes.md: layers, losses, batches, and real digits."""

import numpy as np
import pytest
import steep as sp
from numeric import arr, differences, variable
from steep import data, nn
from steep.nn import functional as F
from steep.optim import SGD, minimize
from steep.random import Generator

RNG = np.random.default_rng(7)
X, LABELS = RNG.normal(size=(8, 5)), RNG.integers(0, 3, 8)


def mlp(dtype=sp.float64, sizes=(5, 6, 3)):
    source = Generator(4)
    return nn.Sequential(
        nn.Linear(sizes[0], sizes[1], generator=source, dtype=dtype),
        nn.ReLU(),
        nn.Linear(sizes[1], sizes[2], generator=source, dtype=dtype),
    )


def gradients(model, loss):
    with sp.GradientTape() as tape:
        value = loss()
    return [arr(g) for g in tape.gradient(value, model.parameters())]


def test_row_2_the_tape_and_backward_give_the_same_weights_bit_for_bit():
    taped, plain = mlp(sp.float32), mlp(sp.float32)
    x = X.astype(np.float32)
    first, second = (SGD(model.parameters(), 0.1, momentum=0.9) for model in (taped, plain))
    start = [arr(p) for p in plain.parameters()]
    for _ in range(10):
        with sp.GradientTape() as tape:
            loss = nn.cross_entropy(taped(x), LABELS)
        trainable = taped.parameters()
        first.apply_gradients(zip(tape.gradient(loss, trainable), trainable, strict=True))
        second.zero_grad()
        nn.cross_entropy(plain(x), LABELS).backward()
        second.step()
    for a, b, before in zip(taped.parameters(), plain.parameters(), start, strict=True):
        assert np.array_equal(arr(a), arr(b)) and not np.array_equal(arr(b), before)


def test_row_3_total_loss_is_data_loss_plus_penalties():
    model = mlp()
    model[0].add_penalty(lambda layer: 0.1 * (layer.weight**2).sum())
    model[2].add_penalty(lambda layer: 0.2 * sp.abs(layer.weight).sum())

    def total():
        return nn.cross_entropy(model(X), LABELS) + sum(model.losses())

    data_loss = float(nn.cross_entropy(model(X), LABELS))
    own = [0.1 * (arr(model[0].weight) ** 2).sum(), 0.2 * np.abs(arr(model[2].weight)).sum()]
    assert [float(loss) for loss in model.losses()] == pytest.approx(own, abs=1e-12)
    assert float(total()) == pytest.approx(data_loss + sum(own), abs=1e-12)

    full = gradients(model, total)
    for layer, place, mine in ((0, 0, 0.2 * arr(model[0].weight)), (2, 2, 0.2 * np.sign(arr(model[2].weight)))):
        penalties = model[layer].penalties
        kept = list(penalties)
        penalties.clear()
        without = gradients(model, total)
        penalties.extend(kept)
        difference = [a - b for a, b in zip(full, without, strict=True)]
        assert np.allclose(difference[place], mine, rtol=0, atol=1e-15)
        assert np.array_equal(full[place], without[place] + mine)  # removed exactly: its own gradient, bit for bit
        assert all(not d.any() for i, d in enumerate(difference) if i != place)


def test_row_6_relu_of_dot_plus_b():
    w, b, x = variable(RNG.normal(size=(4, 5))), variable(np.zeros(4)), sp.tensor(X[0])
    output = sp.relu(w @ x + b)
    assert output.shape == (4,)
    assert np.allclose(arr(output), np.maximum(arr(w) @ X[0], 0), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"\(4,?\).*\(3,?\)"):
        sp.relu(w @ x + variable(np.zeros(3)))


def train_on(splits, epochs, batch=50, seed=0):
    (x, y), (x_test, y_test) = splits
    nn.init.seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].size, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    loader = data.DataLoader(data.TensorDataset(x, y), batch, shuffle=True, seed=seed, drop_last=True)
    for _ in range(epochs):
        for images, labels in loader:
            loss = nn.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with sp.no_grad():
        return float((arr(model(x_test)).argmax(-1) == y_test).mean())


def test_row_7_the_loop_learns_real_digits():
    splits = data.load("mnist5k")
    (x, y), (x_test, y_test) = splits
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == ((4000, 28, 28), (4000,), (1000, 28, 28), (1000,))
    assert train_on(splits, epochs=8) >= 0.93


def test_row_7_full_mnist_where_it_is_present():
    try:
        splits = data.load("mnist")
    except data.FetchError as error:
        pytest.skip(str(error))
    assert [len(part.x) for part in splits] == [60_000, 10_000]
    assert train_on(splits, epochs=8, batch=200) >= 0.98


def test_row_10_a_gradient_has_the_shape_of_what_it_is_taken_by():
    layers = [
        (nn.Linear(5, 4, generator=0, dtype=sp.float64), X),
        (nn.LayerNorm(5, dtype=sp.float64), X),
        (nn.Embedding(3, 2, generator=0, dtype=sp.float64), LABELS),
    ]
    for layer, x in layers:
        (layer(x) ** 2).sum().backward()
        assert all(p.grad.shape == p.shape and p.grad.dtype == p.dtype for p in layer.parameters())
    for layer in (nn.ReLU(), nn.Tanh(), nn.GELU(), nn.Softmax(), nn.Flatten(), nn.Dropout(0.5, generator=0)):
        x = variable(X.reshape(2, 4, 5))
        (layer(x) ** 2).sum().backward()
        assert x.grad.shape == x.shape


def descend(loader, steps):
    model = mlp(sp.float32)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    batches = iter([batch for _ in range(steps) for batch in loader])

    def loss(params):
        x, y = next(batches)
        return nn.cross_entropy(model(x), y)

    minimize(loss, model.parameters(), optimizer, steps)
    return [arr(p) for p in model.parameters()]


def test_row_12_a_batch_of_all_is_gradient_descent_bit_for_bit():
    x = X.astype(np.float32)
    whole = descend(data.DataLoader(data.TensorDataset(x, LABELS), len(x)), 5)
    plain = descend([(x, LABELS)], 5)
    assert all(np.array_equal(a, b) for a, b in zip(whole, plain, strict=True))


def test_row_12_the_mean_of_single_gradients_is_the_batch_gradient():
    model = mlp()
    batch = gradients(model, lambda: nn.cross_entropy(model(X), LABELS))
    loader = data.DataLoader(data.TensorDataset(X, LABELS), 1)
    single = [gradients(model, lambda x=x, y=y: nn.cross_entropy(model(x), y)) for x, y in loader]
    assert len(single) == len(X)
    for whole, parts in zip(batch, zip(*single, strict=True), strict=True):
        assert np.allclose(whole, np.mean(parts, axis=0), rtol=0, atol=1e-12)


def test_row_18_the_gradient_of_the_logits_is_softmax_minus_onehot():
    logits = variable(RNG.normal(size=(8, 3)))
    nn.cross_entropy(logits, LABELS, reduction="sum").backward()
    exp = np.exp(arr(logits))
    expected = exp / exp.sum(-1, keepdims=True) - np.eye(3)[LABELS]
    assert np.allclose(arr(logits.grad), expected, rtol=0, atol=1e-12)


def test_row_18_all_four_parameters_against_central_differences():
    w1, b1 = variable(RNG.normal(size=(5, 6))), variable(RNG.normal(size=6))
    w2, b2 = variable(RNG.normal(size=(6, 3))), variable(RNG.normal(size=3))

    def loss():
        probabilities = sp.softmax(F.relu(sp.asarray(X) @ w1 + b1) @ w2 + b2, axis=-1)
        return -(sp.log(probabilities) * np.eye(3)[LABELS]).sum()

    loss().backward()
    for parameter in (w1, b1, w2, b2):
        expected = differences(loss, parameter)
        assert np.abs(arr(parameter.grad) - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_18_stable_for_logits_of_ten_thousand(dtype):
    logits = variable([[1e4, -1e4, 0], [-1e4, 1e4, 1e4]], dtype)
    losses = nn.cross_entropy(logits, np.array([1, 1]), reduction="none")
    losses.sum().backward()
    assert np.allclose(arr(losses), [2e4, np.log(2)], rtol=1e-6)
    assert np.allclose(arr(logits.grad), [[1, -1, 0], [0, -0.5, 0.5]], rtol=0, atol=1e-6)


def test_row_22_the_gradient_of_the_sum_is_n_times_that_of_the_mean():
    model = mlp()
    total, mean = (
        gradients(model, lambda r=r: nn.cross_entropy(model(X), LABELS, reduction=r)) for r in ("sum", "mean")
    )
    assert all(np.allclose(a, len(X) * b, rtol=0, atol=1e-12) for a, b in zip(total, mean, strict=True))
    each = arr(nn.cross_entropy(model(X), LABELS, reduction="none"))
    assert float(nn.cross_entropy(model(X), LABELS, reduction="sum")) == pytest.approx(each.sum(), abs=1e-12)


def test_row_25_sequential_is_the_fold_of_its_layers():
    model = mlp()
    x = sp.tensor(X)
    for layer in model:
        x = layer(x)
    assert np.array_equal(arr(model(X)), arr(x))
    w0, b0, w1, b1 = (arr(p) for p in model.parameters())
    by_hand = np.maximum(X @ w0.T + b0, 0) @ w1.T + b1
    assert np.allclose(arr(model(X)), by_hand, rtol=0, atol=1e-12)
    total = sum(float(nn.mse_loss(model(X[i : i + 1]), np.eye(3)[LABELS[i : i + 1]], "sum")) for i in range(8))
    assert float(nn.mse_loss(model(X), np.eye(3)[LABELS], "sum")) == pytest.approx(total, abs=1e-12)


def test_row_35_the_variance_of_the_batch_gradient_falls_as_one_over_the_batch():
    n, repeats, sizes = 512, 300, (1, 2, 4, 8, 16, 32, 64)
    x = RNG.normal(size=(n, 6))
    y = x @ RNG.normal(size=(6, 1)) + RNG.normal(size=(n, 1))
    model = nn.Linear(6, 1, generator=0, dtype=sp.float64)
    generator = Generator(1)
    variances = []
    for size in sizes:
        draws = arr(generator.integers(0, n, (repeats, size)))
        found = [gradients(model, lambda i=i: nn.mse_loss(model(x[i]), y[i]))[0].ravel() for i in draws]
        variances.append(np.var(found, axis=0).sum())
    exponent = np.polyfit(np.log(sizes), np.log(variances), 1)[0]
    assert exponent == pytest.approx(-1, abs=0.1)
