"""Modules, layers and losses: what they find, what they compute, and what they refuse."""

import math
import threading

import numpy as np
import pytest
import steep as sp
from steep import nn
from steep.nn import functional as F
from steep.random import Generator


def arr(tensor):
    return tensor.detach().numpy().copy()


class Block(nn.Module):
    def __init__(self):
        self.branches = [nn.Linear(3, 2, generator=0), nn.Linear(3, 2, generator=1)]
        self.extra = {"gate": sp.tensor([1.0, 2.0], requires_grad=True)}
        self.offset = sp.tensor([0.5, 0.5])
        self.alias = self.branches[0]
        self.name = "block"

    def forward(self, x):
        return self.branches[0](x) * self.extra["gate"] + self.branches[1](x) + self.offset


def mlp(seed=0):
    source = Generator(seed)
    return nn.Sequential(nn.Linear(4, 5, generator=source), nn.Tanh(), nn.Linear(5, 3, generator=source))


# -- modules ------------------------------------------------------------------------------------------------------


def test_a_module_finds_its_tensors_in_its_attributes_each_once():
    model = Block()
    names = ["extra.gate", "branches.0.weight", "branches.0.bias", "branches.1.weight", "branches.1.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [name for name, _ in model.named_buffers()] == ["offset"]
    assert [name for name, _ in model.named_modules()] == ["", "branches.0", "branches.1"]
    assert len(model.parameters()) == 5 and len(model.buffers()) == 1 and len(model.modules()) == 3


def test_results_kept_on_a_module_are_not_its_parameters():
    layer = nn.Linear(3, 2, generator=0)
    layer.last = layer(np.ones((1, 3), np.float32))
    assert layer.last.requires_grad and [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert list(layer.state_dict()) == ["weight", "bias"] and not layer.buffers()


def test_a_model_that_contains_itself_is_walked_once():
    model = Block()
    model.branches[0].parent = model
    assert len(model.modules()) == 3 and len(model.parameters()) == 5


def test_state_dict_is_a_snapshot_and_loads_in_place():
    one, two = mlp(0), mlp(1)
    weight = two[0].weight
    state, before = one.state_dict(), arr(one[0].weight)
    two.load_state_dict(state)
    assert two[0].weight is weight and np.array_equal(arr(weight), before)
    with sp.no_grad():
        one[0].weight += 1.0
        two[0].weight += 2.0
    assert np.array_equal(arr(state["0.weight"]), before)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("0.bias"), r"missing \['0.bias'\]"),
        (lambda s: s.update(x=np.zeros(1)), r"unexpected \['x'\]"),
        (lambda s: s.update({"2.bias": np.zeros(4, np.float32)}), r"2.bias has shape \(3,\), got \(4,\)"),
        (lambda s: s.update({"2.bias": np.zeros(3)}), r"2.bias is .*float32.*, got .*float64"),
    ],
)
def test_load_state_dict_names_what_does_not_fit_and_changes_nothing(change, message):
    model = mlp()
    before, state = model.state_dict(), mlp(5).state_dict()
    change(state)
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(state)
    assert all(np.array_equal(arr(before[name]), arr(value)) for name, value in model.state_dict().items())


def test_load_state_dict_not_strict_takes_what_fits():
    model = mlp()
    model.load_state_dict({"2.bias": np.ones(3, np.float32), "other": np.ones(1)}, strict=False)
    assert np.array_equal(arr(model[2].bias), np.ones(3))


def test_train_and_eval_reach_the_whole_tree():
    model = nn.Sequential(nn.Sequential(nn.Dropout(0.5, generator=0)), nn.ReLU())
    x = np.ones((8, 8), np.float32)
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert np.array_equal(arr(model(x)), x)
    assert set(np.unique(arr(model.train()(x)))) == {0.0, 2.0}


def test_zero_grad_clears_every_gradient():
    model = mlp()
    model(np.ones((2, 4), np.float32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_activations_by_name_without_hooks_are_differentiable():
    model = mlp()
    x = np.ones((2, 4), np.float32)
    found = model.activations(x, ["0", "1"])
    assert np.array_equal(np.tanh(arr(found["0"])).round(5), arr(found["1"]).round(5))
    found["0"].sum().backward()
    assert np.allclose(arr(model[0].bias.grad), 2)
    assert list(model.activations(x)) == ["", "0", "1", "2"]
    with pytest.raises(ValueError, match=r"no layer \['9'\]; its layers are"):
        model.activations(x, "9")


def test_activations_of_a_layer_that_does_not_run_is_an_error():
    model = mlp()
    model.spare = nn.ReLU()
    with pytest.raises(ValueError, match=r"\['spare'\] did not run"):
        model.activations(np.ones((2, 4), np.float32), "spare")


def test_activations_listen_on_their_own_thread_only():
    model = mlp()
    worker = threading.Thread(target=lambda: model(np.ones((1, 4), np.float32)))

    class Starter(nn.Module):
        def forward(self, x):
            worker.start()
            worker.join()
            return x

    outer = Starter()
    outer.inner = model
    heard = outer.activations(np.ones((1, 4), np.float32))
    assert list(heard) == [""]


def test_summary_lists_layers_parameters_and_shapes():
    text = mlp().summary(np.ones((2, 4), np.float32))
    assert "0        Linear      25          (2, 5)" in text
    assert "43 parameters, 0 in buffers" in text and mlp().summary().endswith("43 parameters, 0 in buffers")


def test_the_cost_of_a_network_by_hand():
    """Products count two, a bias that is added afterwards and an activation one per element."""
    layers = (
        nn.Conv2d(3, 8, 3, padding=1, groups=1, generator=0), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, generator=1),
        nn.Flatten(), nn.Linear(4 * 81, 10, bias=False, generator=2),
    )  # fmt: skip
    model = nn.Sequential(*layers)
    found = nn.cost.cost(model, np.ones((2, 3, 8, 8), np.float32))
    conv, transposed = 2 * 2 * 8 * 64 * 27, 2 * 2 * 8 * 64 * 4 * 4
    assert found["0"].flops == conv and found["2"].flops == transposed + 2 * 4 * 81
    assert found["1"].flops == 1024 and found["3"].flops == 0 and found["4"].flops == 2 * 20 * 324
    assert found["2"].shape == "(2, 4, 9, 9)"
    assert found[""].flops == sum(found[str(i)].flops for i in range(5)) and found["4"].memory == 80
    assert model.training and all(module.training for module in model.modules())


def test_repr_shows_the_tree():
    assert "  0: Linear(4, 5, bias=True)\n  1: Tanh()" in repr(mlp())


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward method"):
        nn.Module()(1)


# -- layers -------------------------------------------------------------------------------------------------------


def test_linear_starts_like_pytorchs_and_the_same_seed_gives_the_same_bits():
    layer = nn.Linear(400, 300, generator=7)
    assert layer.weight.shape == (300, 400) and layer.bias.shape == (300,)
    for values in (arr(layer.weight), arr(layer.bias)):
        assert np.abs(values).max() <= 0.05
    assert arr(layer.weight).std() == pytest.approx(0.05 / math.sqrt(3), rel=0.01)
    assert np.array_equal(arr(layer.weight), arr(nn.Linear(400, 300, generator=7).weight))
    assert not np.array_equal(arr(layer.weight), arr(nn.Linear(400, 300, generator=8).weight))


def test_the_default_generator_is_deterministic_and_moves_on():
    nn.init.seed(3)
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    nn.init.seed(3)
    assert np.array_equal(arr(nn.Linear(2, 2).weight), arr(first.weight))
    assert not np.array_equal(arr(first.weight), arr(second.weight))


@pytest.mark.parametrize(
    "make, std",
    [
        (nn.init.kaiming_uniform, math.sqrt(2 / 200)),
        (nn.init.kaiming_normal, math.sqrt(2 / 200)),
        (nn.init.xavier_uniform, math.sqrt(2 / 500)),
        (nn.init.xavier_normal, math.sqrt(2 / 500)),
    ],
)
def test_initial_values_have_the_variance_they_promise(make, std):
    values = make((300, 200), 1, dtype=sp.float64)
    assert values.requires_grad and arr(values).dtype == np.float64
    assert arr(values).std() == pytest.approx(std, rel=0.02) and abs(arr(values).mean()) < 0.02 * std * 10


def test_fans_count_the_field_of_a_kernel():
    assert nn.init.fans((8, 3, 5, 5)) == (75, 200)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        nn.init.fans((3,))


def test_linear_computes_x_weight_transposed_plus_bias():
    layer = nn.Linear(3, 2, generator=0, dtype=sp.float64)
    x = np.arange(12.0).reshape(2, 2, 3)
    assert np.allclose(arr(layer(x)), x @ arr(layer.weight).T + arr(layer.bias), atol=1e-12)
    assert nn.Linear(3, 2, bias=False).bias is None


def test_layer_norm_matches_numpy_and_its_gradient_is_right():
    layer = nn.LayerNorm((3, 4), dtype=sp.float64)
    x = sp.tensor(np.random.default_rng(0).normal(2, 3, (5, 3, 4)), requires_grad=True)
    values = arr(x)
    mean, var = values.mean((1, 2), keepdims=True), values.var((1, 2), keepdims=True)
    assert np.allclose(arr(layer(x)), (values - mean) / np.sqrt(var + 1e-5), atol=1e-12)
    (layer(x) ** 3).sum().backward()
    step = np.zeros_like(values)
    step[1, 2, 3] = 1e-5
    both = [float((layer(sp.tensor(values + s * step)) ** 3).sum()) for s in (1, -1)]
    assert arr(x.grad)[1, 2, 3] == pytest.approx((both[0] - both[1]) / 2e-5, rel=1e-6)
    with pytest.raises(ValueError, match=r"over \(3, 4\) needs"):
        layer(sp.zeros((5, 4, 3)))


def test_dropout_keeps_the_mean_and_passes_gradient_where_it_kept():
    layer = nn.Dropout(0.25, generator=0)
    x = sp.tensor(np.ones((200, 200), np.float32), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert np.array_equal(arr(y), arr(x.grad))
    assert set(np.unique(arr(y))) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert arr(y).mean() == pytest.approx(1, abs=0.01)
    assert not arr(nn.Dropout(1.0)(x)).any() and np.array_equal(arr(nn.Dropout(0)(x)), arr(x))
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\]"):
        nn.Dropout(1.5)


def test_embedding_starts_standard_normal():
    values = arr(nn.Embedding(200, 100, generator=0).weight)
    assert values.std() == pytest.approx(1, abs=0.02) and abs(values.mean()) < 0.02


def test_embedding_takes_rows_and_adds_up_gradients_of_repeated_ones():
    layer = nn.Embedding(4, 3, generator=0)
    indices = np.array([[0, 2], [2, 3]])
    out = layer(indices)
    assert out.shape == (2, 2, 3) and np.array_equal(arr(out), arr(layer.weight)[indices])
    out.sum().backward()
    assert np.array_equal(arr(layer.weight.grad)[:, 0], [1, 0, 2, 1])
    for bad in (-1, 4):
        with pytest.raises(IndexError, match="rows 0 to 3"):
            layer(np.array([0, bad]))


def test_flatten_keeps_the_leading_dimensions():
    x = sp.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60) and nn.Flatten(2)(x).shape == (2, 3, 20)


def test_sequential_takes_names_and_functions_and_refuses_the_rest():
    model = nn.Sequential({"hidden": nn.Linear(2, 3, generator=0), "act": sp.tanh})
    assert len(model) == 2 and model[0] is model.hidden
    assert "hidden.weight" in model.state_dict()
    assert arr(model(np.zeros((1, 2), np.float32))).shape == (1, 3)
    with pytest.raises(TypeError, match="cannot be called"):
        nn.Sequential(3)
    with pytest.raises(ValueError, match="cannot be the name"):
        nn.Sequential({"train": sp.relu})


@pytest.mark.parametrize(
    "layer, formula",
    [
        (nn.ReLU(), lambda x: np.maximum(x, 0)),
        (nn.LeakyReLU(0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
        (nn.ELU(2.0), lambda x: np.where(x > 0, x, 2 * np.expm1(x))),
        (nn.GELU(), lambda x: x * np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in x])),
        (nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
        (nn.Softplus(), lambda x: np.log1p(np.exp(x))),
        (nn.Tanh(), np.tanh),
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.Softmax(), lambda x: np.exp(x) / np.exp(x).sum()),
    ],
)
def test_activations_match_their_formulas(layer, formula):
    x = np.array([-2.0, -0.5, 0.0, 0.5, 3.0])
    assert np.allclose(arr(layer(sp.tensor(x))), formula(x), atol=1e-12)


# -- losses -------------------------------------------------------------------------------------------------------


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def test_cross_entropy_of_labels_probabilities_and_smoothed_labels():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(6, 4)), np.array([0, 3, 1, 1, 2, 0])
    onehot = np.eye(4)[labels]
    losses = -(log_softmax(logits) * onehot).sum(-1)
    assert np.allclose(arr(nn.cross_entropy(logits, labels, reduction="none")), losses, atol=1e-12)
    assert float(nn.cross_entropy(logits, labels)) == pytest.approx(losses.mean(), abs=1e-12)
    assert float(nn.cross_entropy(logits, labels, reduction="sum")) == pytest.approx(losses.sum(), abs=1e-12)
    mixed = 0.9 * onehot + 0.1 / 4
    smooth = -(log_softmax(logits) * mixed).sum(-1).mean()
    assert float(nn.cross_entropy(logits, labels, label_smoothing=0.1)) == pytest.approx(smooth, abs=1e-12)
    assert float(nn.cross_entropy(logits, mixed)) == pytest.approx(smooth, abs=1e-12)
    assert float(nn.CrossEntropyLoss(label_smoothing=0.1)(logits, labels)) == pytest.approx(smooth, abs=1e-12)


def test_cross_entropy_finds_the_classes_on_axis_one_as_pytorch_does():
    logits = np.random.default_rng(2).normal(size=(2, 3, 5))
    labels = np.array([[0, 1, 2, 1, 0], [2, 2, 1, 0, 0]])
    expected = -np.take_along_axis(log_softmax(np.moveaxis(logits, 1, -1)), labels[..., None], -1).mean()
    assert float(nn.cross_entropy(logits, labels)) == pytest.approx(expected, abs=1e-12)
    moved = np.moveaxis(logits, 1, -1)
    assert float(nn.cross_entropy(moved, labels, axis=-1)) == pytest.approx(expected, abs=1e-12)
    assert float(nn.cross_entropy(logits[0, :, 0], np.array(0))) > 0


def test_losses_refuse_what_does_not_fit():
    logits = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"need labels of shape \(2,\), got \(3,\)"):
        nn.cross_entropy(logits, np.array([0, 1, 2]))
    for bad in (-1, 3):
        with pytest.raises(IndexError, match="none of the 3 classes"):
            nn.cross_entropy(logits, np.array([0, bad]))
    with pytest.raises(ValueError, match="reduction must be one of"):
        nn.cross_entropy(logits, np.array([0, 1]), reduction="average")
    for loss in (nn.mse_loss, nn.l1_loss, nn.bce_with_logits, nn.info_nce):
        with pytest.raises(ValueError, match=r"\(2, 3\) and target of shape \(2, 1\) differ"):
            loss(logits, np.zeros((2, 1)))


def test_elementwise_losses_match_their_formulas():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(4, 3)), rng.uniform(size=(4, 3))
    bce = -(b * np.log(1 / (1 + np.exp(-a))) + (1 - b) * np.log(1 - 1 / (1 + np.exp(-a))))
    for loss, module, expected in (
        (nn.mse_loss, nn.MSELoss, (a - b) ** 2),
        (nn.l1_loss, nn.L1Loss, np.abs(a - b)),
        (nn.bce_with_logits, nn.BCEWithLogitsLoss, bce),
    ):
        assert np.allclose(arr(loss(a, b, reduction="none")), expected, atol=1e-12)
        assert float(loss(a, b)) == pytest.approx(expected.mean(), abs=1e-12)
        assert float(module("sum")(a, b)) == pytest.approx(expected.sum(), abs=1e-11)


def test_nll_of_log_softmax_is_cross_entropy():
    logits, labels = np.random.default_rng(4).normal(size=(5, 3)), np.array([0, 1, 2, 1, 0])
    both = nn.nll_loss(F.log_softmax(sp.tensor(logits), axis=-1), labels), nn.cross_entropy(logits, labels)
    assert float(both[0]) == pytest.approx(float(both[1]), abs=1e-12)
    assert float(nn.NLLLoss()(log_softmax(logits), labels)) == pytest.approx(float(both[1]), abs=1e-12)
    assert float(nn.nll_loss(log_softmax(logits)[0], np.array(2))) == pytest.approx(-log_softmax(logits)[0, 2])
    assert float(nn.nll_loss(log_softmax(logits).T, labels, axis=0)) == pytest.approx(float(both[1]), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_are_finite_for_huge_logits(dtype):
    logits = sp.tensor(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype), requires_grad=True)
    total = nn.cross_entropy(logits, np.array([1, 1])) + nn.bce_with_logits(logits, np.ones((2, 2), dtype))
    total.backward()
    assert float(total) == pytest.approx(1e4 + 5e3) and np.isfinite(arr(logits.grad)).all()


def test_info_nce_of_the_identity_and_of_equal_embeddings():
    eye = np.eye(4)
    assert float(nn.info_nce(eye, eye)) == pytest.approx(0.7436684, abs=1e-7)
    assert float(nn.info_nce(np.ones((4, 2)), np.ones((4, 2)))) == pytest.approx(math.log(4), abs=1e-12)
    assert float(nn.info_nce(eye, eye, temperature=0.01)) < 1e-12


def test_a_module_changes_its_dtype_whole():
    layer = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    layer.shared = layer[3].weight
    layer.scales = [sp.ones(2), sp.tensor([1, 2])]
    assert layer.astype(sp.float64) is layer and layer.shared is layer[3].weight
    assert [str(t.dtype) for t in layer.scales] == ["float64", "int64"]
    assert {str(t.dtype) for t in layer.parameters()} == {"float64"} and layer[1].running_mean.dtype == sp.float64
    assert layer(sp.ones((1, 1, 3, 3), dtype=sp.float64)).dtype == sp.float64


def test_layers_behind_those_asked_for_do_not_run():
    net = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "block": nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
                         "flatten": nn.Flatten(), "fc": nn.Linear(2 * 3 * 3, 4)})  # fmt: skip
    wide = sp.ones((1, 1, 20, 20))  # which the linear layer would refuse
    found = net.activations(wide, ["block.0", "conv"])
    assert found["block.0"].shape == (1, 2, 18, 18) and np.array_equal(arr(found["conv"]), arr(net.conv(wide)))
    for names in (["fc"], [""], ["conv", ""]):
        with pytest.raises(ValueError, match="inner sizes"):
            net.activations(wide, names)
    relu = nn.ReLU()
    twice = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 3), relu)
    x = sp.tensor([[1.0, -2.0, 3.0]])
    assert np.array_equal(arr(twice.activations(x, "1")["1"]), arr(twice(x)))


def test_a_sequence_with_a_forward_of_its_own_runs_it():
    class Reversed(nn.Sequential):
        def forward(self, x):
            for layer in list(self)[::-1]:
                x = layer(x)
            return x

    net = Reversed(nn.Linear(3, 2), nn.Linear(4, 3))
    assert net.activations(sp.ones((1, 4)), "0")["0"].shape == (1, 2)
