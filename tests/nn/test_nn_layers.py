"""Layers of images: what they compute, how they start, what they keep, and what they refuse.

Values of the ops themselves are in the op table; here it is the layers' wiring, against the functions they stand for.
"""

import math

import numpy as np
import pytest
import references_nn as ref
import steep as sp
from steep import nn
from steep.nn import functional as F


def draw(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype("float32")


def arr(tensor):
    return tensor.detach().numpy().copy()


LAYERS = [
    (nn.Conv1d(4, 6, 3, generator=0), (2, 4, 9), (2, 6, 7)),
    (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, generator=0), (2, 4, 9, 8), (2, 6, 5, 4)),
    (nn.Conv2d(4, 6, (3, 1), padding="same", dilation=2, bias=False, generator=0), (2, 4, 9, 8), (2, 6, 9, 8)),
    (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", generator=0), (2, 4, 5, 5), (2, 4, 5, 5)),
    (nn.Conv3d(2, 3, 2, padding="valid", generator=0), (1, 2, 3, 4, 5), (1, 3, 2, 3, 4)),
    (nn.ConvTranspose1d(4, 6, 3, generator=0), (2, 4, 5), (2, 6, 7)),
    (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, generator=0), (2, 4, 5, 5), (2, 6, 10, 10)),
    (nn.ConvTranspose3d(2, 3, 2, 2, generator=0), (1, 2, 2, 2, 3), (1, 3, 4, 4, 6)),
    (nn.MaxPool1d(2), (2, 3, 8), (2, 3, 4)),
    (nn.MaxPool2d(3, 2, 1), (2, 3, 8, 8), (2, 3, 4, 4)),
    (nn.MaxPool3d(2), (1, 2, 4, 4, 4), (1, 2, 2, 2, 2)),
    (nn.AvgPool1d(2), (2, 3, 8), (2, 3, 4)),
    (nn.AvgPool2d(3, 2, 1), (2, 3, 8, 8), (2, 3, 4, 4)),
    (nn.AvgPool3d(2), (1, 2, 4, 4, 4), (1, 2, 2, 2, 2)),
    (nn.AdaptiveAvgPool1d(3), (2, 3, 8), (2, 3, 3)),
    (nn.AdaptiveAvgPool2d(1), (2, 3, 8, 8), (2, 3, 1, 1)),
    (nn.BatchNorm1d(3), (5, 3), (5, 3)),
    (nn.BatchNorm2d(3), (5, 3, 2, 2), (5, 3, 2, 2)),
    (nn.BatchNorm3d(3, affine=False), (5, 3, 2, 2, 2), (5, 3, 2, 2, 2)),
    (nn.GroupNorm(2, 4), (3, 4, 5), (3, 4, 5)),
    (nn.InstanceNorm2d(4), (3, 4, 5, 5), (3, 4, 5, 5)),
    (nn.LocalResponseNorm(3), (3, 4, 5, 5), (3, 4, 5, 5)),
    (nn.PReLU(4), (3, 4, 5), (3, 4, 5)),
    (nn.Hardswish(), (3, 4), (3, 4)),
    (nn.Hardsigmoid(), (3, 4), (3, 4)),
    (nn.Upsample(scale_factor=2), (1, 2, 3, 4), (1, 2, 6, 8)),
    (nn.Upsample((5, 7), mode="cubic"), (1, 2, 3, 4), (1, 2, 5, 7)),
]


@pytest.mark.parametrize("layer, given, expected", LAYERS, ids=lambda v: type(v).__name__)
def test_shapes_dtypes_gradients_and_repr(layer, given, expected):
    x = sp.tensor(draw(*given), requires_grad=True)
    y = layer(x)
    assert (y.shape, y.dtype) == (expected, sp.float32)
    y.sum().backward()
    assert x.grad.shape == given and all(p.grad is not None for p in layer.parameters())
    assert repr(layer).startswith(type(layer).__name__ + "(")


def test_first_values_lie_within_one_over_the_root_of_the_fan():
    conv, transpose = nn.Conv2d(8, 16, 3, groups=2, generator=0), nn.ConvTranspose2d(8, 16, 3, generator=0)
    assert conv.weight.shape == (16, 4, 3, 3) and transpose.weight.shape == (8, 16, 3, 3)
    for layer, fan in ((conv, 36), (transpose, 144)):
        for values in (arr(layer.weight), arr(layer.bias)):
            assert 0.8 / math.sqrt(fan) < np.abs(values).max() <= 1 / math.sqrt(fan)


def test_same_puts_the_odd_element_behind():
    x, w = draw(1, 2, 6, 5), draw(3, 2, 4, 2)
    expected = ref.conv(x, w, padding=((1, 2), (0, 1)))
    np.testing.assert_allclose(arr(F.conv2d(x, sp.tensor(w), padding="same")), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode, name", [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_padding_modes(mode, name):
    layer = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode, generator=0)
    x = draw(1, 2, 4, 5)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)), name)
    np.testing.assert_allclose(
        arr(layer(x)), ref.conv(padded, arr(layer.weight), arr(layer.bias)), rtol=1e-5, atol=1e-5
    )


def test_batch_norm_trains_on_the_batch_and_remembers():
    layer, x = nn.BatchNorm2d(3, momentum=0.3), draw(4, 3, 5, 2) * 2 + 1
    y = layer(x)
    mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    np.testing.assert_allclose(arr(y), ref.batch_norm(x, mean, var), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(arr(layer.running_mean), 0.3 * mean, rtol=1e-5)
    np.testing.assert_allclose(arr(layer.running_var), 0.7 + 0.3 * var * 40 / 39, rtol=1e-5)
    kept = arr(layer.running_mean)
    y = layer.eval()(x)
    np.testing.assert_array_equal(arr(layer.running_mean), kept)
    np.testing.assert_allclose(arr(y), ref.batch_norm(x, kept, arr(layer.running_var)), rtol=1e-5, atol=1e-5)
    assert sorted(layer.state_dict()) == ["bias", "running_mean", "running_var", "weight"]
    assert [name for name, _ in layer.named_buffers()] == ["running_mean", "running_var"]


def test_batch_norm_differentiates_through_its_statistics():
    x = draw(3, 2, 4).astype("float64")
    layer = nn.BatchNorm1d(2, track_running_stats=False, dtype=sp.float64)
    sp.check_grads(lambda t: sp.sin(layer(t)), (x,), order=2)


def test_max_unpool_undoes_max_pool_at_its_switches():
    x = sp.tensor(draw(1, 2, 4, 6))
    y, at = sp.max_pool2d(x, 2), sp.max_pool_indices(x, 2)
    back = nn.MaxUnpool2d(2)(y, at)
    assert back.shape == x.shape
    np.testing.assert_array_equal(arr(sp.max_pool2d(sp.where(back != 0, back, -9.0), 2)), arr(y))
    assert int(sp.count_nonzero(back)) == y.size


def test_multihead_attention_is_attention_of_its_heads():
    layer = nn.MultiheadAttention(6, 2, generator=0)
    q, k = draw(2, 3, 6), draw(2, 5, 6)
    w = [arr(layer.in_proj_weight)[i * 6 : i * 6 + 6] for i in range(3)]
    heads = [
        ref.attention(*[(x @ m.T)[..., h * 3 : h * 3 + 3] for x, m in zip((q, k, k), w, strict=True)]) for h in range(2)
    ]
    expected = np.concatenate(heads, -1) @ arr(layer.out_proj.weight).T
    np.testing.assert_allclose(arr(layer(q, k, k)), expected, rtol=1e-4, atol=1e-5)
    late = arr(layer(q, q, q, causal=True))
    changed = q.copy()
    changed[:, 2] += 1
    np.testing.assert_array_equal(late[:, :2], arr(layer(changed, changed, changed, causal=True))[:, :2])


REFUSED = [
    (lambda: sp.conv2d(draw(1, 3, 4, 4), draw(2, 4, 3, 3)), r"conv: float32\(1, 3, 4, 4\) has 3 channels.*groups"),
    (lambda: sp.conv2d(draw(1, 3, 4, 4), draw(2, 3, 5, 5)), "kernel .* longer than the padded input"),
    (lambda: sp.conv2d(draw(3, 4), draw(2, 3, 3, 3)), "spatial dimensions"),
    (lambda: sp.conv2d(draw(1, 3, 4, 4), draw(2, 3, 3, 3), stride=0), "stride must be at least 1"),
    (lambda: sp.conv2d(draw(1, 3, 4, 4), draw(2, 3, 3, 3), draw(3)), r"bias .* shape \(2,\)"),
    (lambda: sp.conv_transpose2d(draw(1, 3, 4, 4), draw(3, 2, 3, 3), output_padding=1), "output_padding"),
    (lambda: F.conv2d(draw(1, 3, 4, 4), sp.tensor(draw(2, 3, 3, 3)), stride=2, padding="same"), "needs stride 1"),
    (lambda: F.conv2d(draw(1, 3, 4, 4), sp.tensor(draw(2, 3, 3, 3)), padding="some"), '"same_upper" or "valid"'),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "3 channels cannot be shared among 2 groups"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="odd"), "padding_mode is one of"),
    (lambda: sp.max_pool2d(draw(1, 1, 4, 4), 5), "larger than the padded input"),
    (lambda: sp.max_pool2d(draw(1, 1, 4, 4), 2, padding=2), "more than half of the window"),
    (lambda: sp.layer_norm(draw(2, 3), 4), "ends in these dimensions"),
    (lambda: sp.batch_norm(draw(2, 3), draw(2), draw(2)), r"mean .* shape \(3,\)"),
    (lambda: F.batch_norm(draw(2, 3), None, None), "needs running_mean"),
    (lambda: nn.BatchNorm2d(3)(draw(2, 3)), r"needs \(4,\) dimensions"),
    (lambda: sp.group_norm(draw(2, 3, 4), 2), "3 channels .* 2 groups"),
    (lambda: sp.interpolate(draw(1, 2, 3), 4, "odd"), "nearest"),
    (lambda: nn.Upsample(), "either size or scale_factor"),
    (lambda: sp.grid_sample(draw(1, 2, 3, 3), draw(1, 2, 2, 3)), "grid"),
]


@pytest.mark.parametrize("call, message", REFUSED)
def test_misuse_is_refused_with_shapes_and_the_fix(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unpooling_position_outside_its_plane_is_an_index_error():
    with pytest.raises(IndexError, match="position 9 is outside a plane of 4"):
        sp.max_unpool2d(draw(1, 1, 1, 1), np.full((1, 1, 1, 1), 9), 2)


def test_one_of_a_batch_gives_its_own_bits():
    """Forward and input gradient of an element do not depend on those beside it."""
    for channels, groups, stride in ((20, 1, 1), (20, 1, 2), (24, 24, 1), (24, 4, 2)):
        layer = nn.Conv2d(channels, 24, 3, stride, 1, groups=groups, generator=0)

        def both(x, layer=layer):
            x = sp.tensor(x, requires_grad=True)
            y = sp.max_pool2d(sp.relu(layer(x)), 2)
            (y * y).sum().backward()
            return arr(y), arr(x.grad)

        x = draw(5, channels, 19, 22)
        whole = both(x)
        for i in range(5):
            for all_of_it, alone in zip(whole, both(x[i : i + 1]), strict=True):
                np.testing.assert_array_equal(all_of_it[i : i + 1], alone)


# -- containers, and padding that follows the input ------------------------------------------------------------------


PARTS = ("weight", "bias")


def test_branches_are_joined_and_shortcuts_added():
    a, b = nn.Conv2d(3, 2, 1, generator=1), nn.Conv2d(3, 4, 3, padding=1, generator=2)
    x = sp.tensor(draw(2, 3, 5, 6))
    joined = nn.Concat({"narrow": a, "wide": nn.Sequential({"conv": b, "relu": nn.ReLU()})})
    assert np.array_equal(joined(x).numpy(), np.concatenate([a(x).numpy(), np.maximum(b(x).numpy(), 0)], axis=1))
    assert nn.Concat(a, a, axis=2)(x).shape == (2, 2, 10, 6)
    assert set(joined.activations(x)) == {"", "narrow", "wide", "wide.conv", "wide.relu"}
    keep = nn.Conv2d(3, 3, 3, padding=1, generator=3)
    around = nn.Residual({"keep": keep, "act": sp.tanh})
    assert np.array_equal(around(x).numpy(), (x + sp.tanh(keep(x))).numpy())
    assert [name for name, _ in around.named_layers()] == ["keep", "act"] and len(nn.Residual(keep, nn.ReLU())) == 2
    beside = nn.Residual({"wide": b}, shortcut=nn.Conv2d(3, 4, 1, generator=4))
    assert np.array_equal(beside(x).numpy(), (beside.shortcut(x) + b(x)).numpy()) and len(beside) == 1
    assert set(beside.state_dict()) == {f"{layer}.{part}" for layer in ("wide", "shortcut") for part in PARTS}
    assert set(beside.activations(x)) == {"", "wide", "shortcut"}
    named = nn.Residual({"shortcut": keep})
    assert np.array_equal(named(x).numpy(), (x + keep(x)).numpy())
    with pytest.raises(ValueError, match="'shortcut' cannot be the name of a layer and"):
        nn.Residual({"shortcut": keep}, shortcut=keep)
    with pytest.raises(TypeError, match="layer 'shortcut' is a int"):
        nn.Residual(keep, shortcut=3)
    for kind in (nn.Sequential, nn.Concat, nn.Residual):
        with pytest.raises(ValueError, match=f"{kind.__name__}: 'a.b' cannot be the name"):
            kind({"a.b": keep})
        with pytest.raises(TypeError, match=f"{kind.__name__}: layer '0' is a int"):
            kind(3)
    with pytest.raises(ValueError, match="concat"):
        nn.Concat(a, nn.Conv2d(3, 2, 3, generator=1))(x)


def test_relu6_is_cut_off_on_both_sides_and_follows_rules_of_relu():
    x = sp.tensor([-1.0, 0.5, 5.9, 7.0], requires_grad=True)
    y = nn.ReLU6()(x)
    assert np.array_equal(y.numpy(), np.array([0, 0.5, 5.9, 6], np.float32))
    (y * sp.tensor([1.0, 2, 3, 4])).sum().backward()
    assert x.grad.tolist() == [0, 2, 3, 0]
    z = sp.tensor([1.0, 2.0], requires_grad=True)
    with sp.gradient_rule("relu", "guided"):
        (nn.ReLU6()(z) * sp.tensor([-1.0, 1.0])).sum().backward()
    assert z.grad.tolist() == [0, 1]


@pytest.mark.parametrize("size", [5, 6, 7, 8, 9])
@pytest.mark.parametrize("kernel, stride, dilation", [(3, 2, 1), (5, 2, 1), (3, 1, 1), (2, 2, 1), (3, 3, 2), (1, 2, 1)])
def test_same_upper_gives_size_over_stride_rounded_up(size, kernel, stride, dilation):
    """TensorFlow's rule: the whole border is what the last window needs, its odd element behind."""
    layer = nn.Conv2d(2, 3, kernel, stride, "same_upper", dilation, generator=1)
    x, out = draw(1, 2, size, size + 1), [-(-n // stride) for n in (size, size + 1)]
    reach = (kernel - 1) * dilation + 1
    totals = [max(0, (n - 1) * stride + reach - full) for n, full in zip(out, (size, size + 1), strict=True)]
    padded = np.pad(x, [(0, 0), (0, 0), *((total // 2, total - total // 2) for total in totals)])
    plain = sp.conv2d(padded, layer.weight, layer.bias, stride, 0, dilation)
    assert layer(x).shape == (1, 3, *out) and np.array_equal(layer(x).numpy(), plain.numpy())
    reflected = nn.Conv2d(2, 3, kernel, stride, "same_upper", dilation, padding_mode="reflect", generator=1)
    assert reflected(x).shape == (1, 3, *out)


REFUSED = [
    (lambda: nn.Linear(2.0, 2), TypeError, "Linear: inputs must be an integer, and got float; pass int(inputs)"),
    (lambda: nn.Linear(2, "3"), TypeError, "Linear: outputs must be an integer, and got str"),
    (lambda: nn.Linear(-1, 2), ValueError, "Linear: inputs must be at least 0, and is -1"),
    (lambda: nn.Embedding(3, 2.0), TypeError, "Embedding: dim must be an integer"),
    (lambda: nn.Conv2d(3.0, 4, 3), TypeError, "Conv2d: in_channels must be an integer"),
    (lambda: nn.Conv2d(3, -4, 3), ValueError, "Conv2d: out_channels must be at least 0"),
    (lambda: nn.Conv2d(3, 4, 3.0), TypeError, "Conv2d: kernel_size must be an integer or a sequence"),
    (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, "Conv2d: kernel_size is 2 numbers"),
    (lambda: nn.Conv1d(3, 4, 0), ValueError, "Conv1d: kernel_size is 1 numbers of at least 1"),
    (lambda: nn.ConvTranspose2d(3, 4.0, 3), TypeError, "ConvTranspose2d: out_channels must be an integer"),
    (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "Conv2d: groups must be at least 1"),
    (lambda: nn.BatchNorm2d(3.0), TypeError, "BatchNorm2d: num_features must be an integer"),
    (lambda: nn.GroupNorm(3, 4), ValueError, "GroupNorm: 4 channels cannot be shared among 3 groups"),
    (lambda: nn.GroupNorm(2.0, 4), TypeError, "GroupNorm: num_groups must be an integer"),
    (lambda: nn.InstanceNorm2d("3"), TypeError, "InstanceNorm2d: num_features must be an integer"),
    (lambda: nn.LocalResponseNorm(0), ValueError, "LocalResponseNorm: size must be at least 1"),
    (lambda: nn.MultiheadAttention(8.0, 2), TypeError, "MultiheadAttention: embed_dim must be an integer"),
    (lambda: nn.PReLU(2.5), TypeError, "PReLU: num_parameters must be an integer"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_layers_refuse_sizes_that_are_none(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


def test_layers_take_integers_of_numpy_and_of_tensors():
    one, two = np.int64(4), sp.tensor(2)
    assert nn.Linear(one, two).weight.shape == (2, 4)
    assert nn.Conv2d(one, two, np.array(3), groups=two).weight.shape == (2, 2, 3, 3)
    assert nn.BatchNorm2d(one).weight.shape == (4,)
