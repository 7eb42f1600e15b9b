"""Whoever only looks at a model leaves it as it was, and judges by its scores, not by probabilities made of them."""

import numpy as np
import pytest
import steep as sp
from steep import ascent, attack, nn, onnx, saliency
from steep.random import Generator
from steep.saliency import sanity
from steep.scores import accuracy, predicted

X = np.random.default_rng(0).random((3, 1, 8, 8)).astype("f4")
Y = [0, 1, 2]
arr = np.asarray


def in_training():
    """A network in training mode with all that a run in it would disturb."""
    layers = {"conv": nn.Conv2d(1, 2, 3, generator=0), "bn": nn.BatchNorm2d(2), "relu": nn.ReLU(),
              "drop": nn.Dropout(0.5, generator=3), "flat": nn.Flatten()}  # fmt: skip
    return nn.Sequential({**layers, "fc": nn.Linear(72, 3, generator=1)}).train()


LOOKS = {
    "fgsm": lambda m: attack.fgsm(m, X, Y, 0.1).x,
    "pgd": lambda m: attack.pgd(m, X, Y, 0.1, steps=2).x,
    "pgd eager": lambda m: attack.pgd(lambda v: m(v), X, Y, 0.1, steps=2, capture=False).x,
    "deepfool": lambda m: attack.deepfool(m, X, Y, steps=2).x,
    "carlini_wagner": lambda m: attack.carlini_wagner(m, X, Y, steps=2, searches=2).x,
    "ddn": lambda m: attack.ddn(m, X, Y, steps=2).x,
    "lbfgs": lambda m: attack.lbfgs(m, X, Y, steps=2, searches=2).x,
    "masking": lambda m: attack.masking(m, X, predicted(m, X), 0.1, steps=2, tries=2, samples=2).evidence.losses,
    "adversary": lambda m: attack.adversary(m, 0.1)(sp.asarray(X), sp.asarray(Y), Generator(0)),
    "gradient": lambda m: saliency.gradient(m, X),
    "input_times_gradient": lambda m: saliency.input_times_gradient(m, X),
    "guided_backprop": lambda m: saliency.guided_backprop(m, X),
    "deconvnet": lambda m: saliency.deconvnet(m, X),
    "smoothgrad": lambda m: saliency.smoothgrad(m, X, samples=2),
    "integrated_gradients": lambda m: saliency.integrated_gradients(m, X, steps=2),
    "completeness_gap": lambda m: saliency.completeness_gap(m, X, X),
    "grad_cam": lambda m: saliency.grad_cam(m, X, "conv"),
    "occlusion": lambda m: saliency.occlusion(m, X),
    "a function as target": lambda m: saliency.gradient(m, X, lambda v: sp.sum(m(v))),
    "top_k": lambda m: saliency.top_k(X, saliency.unit(m, "relu", 0), 2).values,
    "top_k of a function": lambda m: saliency.top_k(X, lambda v: m(v)[:, 0], 2).values,
    "receptive_field": lambda m: [s.start for s in saliency.receptive_field(m, "relu", (1, 8, 8), (2, 2))],
    "cascade": lambda m: sanity.cascade(m, X).correlations,
    "maximize": lambda m: ascent.maximize(lambda v: sp.sum(m(v)), X, 2).image,
    "logit": lambda m: ascent.logit(m, 0)(sp.asarray(X)),
    "channel": lambda m: ascent.maximize(ascent.channel(m, "relu", 0), X, 2).image,
    "visualize": lambda m: ascent.visualize(ascent.channel(m, "relu", 0), (1, 1, 8, 8), steps=2).image,
    "deepdream": lambda m: ascent.deepdream(m, "conv", X, octaves=1, steps=2).image,
    "invert": lambda m: ascent.invert(m, "conv", X, steps=2).image,
    "filters": lambda m: ascent.filters(m, "conv", [0], size=12, channels=1, steps=2).image,
    "predicted": lambda m: predicted(m, X),
    "accuracy": lambda m: accuracy(m, X, Y),
}


@pytest.mark.parametrize("name", LOOKS)
def test_evaluation_leaves_the_mode_the_statistics_and_the_generators_of_a_model_alone(name):
    model = in_training()
    model.conv.eval()
    before = {key: arr(value).copy() for key, value in model.state_dict().items()}
    drawn = model.drop.generator.state()
    seen = LOOKS[name](model)
    after = model.state_dict()
    assert all(np.array_equal(before[key], arr(after[key])) for key in before)
    assert model.drop.generator.state() == drawn
    assert [m.training for m in model.modules()] == [True, False, True, True, True, True, True]
    wanted = LOOKS[name](model.eval())
    assert np.array_equal(np.asarray(seen), np.asarray(wanted))


def test_training_goes_on_in_training_mode_after_a_look_and_after_an_error():
    model = in_training()
    with pytest.raises(ValueError, match="bounds"):
        attack.pgd(model, X * 9, Y, 0.1)
    before = arr(model.bn.running_mean).copy()
    model(sp.asarray(X))
    assert not np.array_equal(before, arr(model.bn.running_mean))


def test_a_compiled_step_of_training_is_not_replayed_in_evaluation():
    model = in_training()
    step = sp.compile(lambda v: model(v))
    trained = arr(step(sp.asarray(X)))
    assert np.array_equal(arr(saliency.gradient(model, X, lambda v: sp.sum(step(v)))),
                          arr(saliency.gradient(model, X, lambda v: sp.sum(model(v)))))  # fmt: skip
    assert not np.array_equal(trained, arr(step(sp.asarray(X))))


# -- models that end in probabilities ---------------------------------------------------------------------------------

WEIGHT = np.random.default_rng(1).normal(size=(3, 4)).astype("f4") * 5
POINT = np.full((1, 4), 0.5, "f4")


def linear():
    layer = nn.Linear(4, 3)
    layer.load_state_dict({"weight": WEIGHT, "bias": np.zeros(3, "f4")})
    return layer


def from_file(*ops):
    """The linear model as an ONNX file with more nodes at its end."""
    import onnx as package

    node, helper = package.helper.make_node, package.helper
    names = ["z", *(f"v{i}" for i in range(1, len(ops))), "y"]
    nodes = [node("Gemm", ["x", "w"], ["z"], transB=1)]
    nodes += [node(op, [a], [b], **more) for (op, more), a, b in zip(ops, names[:-1], names[1:], strict=True)]
    info = [helper.make_tensor_value_info(n, 1, ["N", size]) for n, size in (("x", 4), ("y", 3))]
    graph = helper.make_graph(nodes, "g", info[:1], info[1:], [package.numpy_helper.from_array(WEIGHT, "w")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return onnx.load(made.SerializeToString())


SOFT = ("Softmax", {"axis": 1})
ENDINGS = {
    "Softmax": lambda: nn.Sequential(linear(), nn.Softmax()),
    "Sigmoid": lambda: nn.Sequential(linear(), nn.Sigmoid()),
    "nested": lambda: nn.Sequential(nn.Flatten(), nn.Sequential(linear(), nn.Dropout(0.0), nn.Softmax(), nn.Flatten())),
    "file, Softmax": lambda: from_file(SOFT),
    "file, LogSoftmax": lambda: from_file(("LogSoftmax", {})),
    "file, Sigmoid": lambda: from_file(("Sigmoid", {})),
    "file, moved behind": lambda: from_file(SOFT, ("Identity", {}), ("Flatten", {"axis": 1})),
}
LABEL = [int(np.argmax(POINT @ WEIGHT.T))]
ATTACKS = [attack.deepfool, attack.ddn, attack.carlini_wagner, attack.lbfgs]


@pytest.mark.parametrize("run", ATTACKS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("ending", ENDINGS)
def test_attacks_work_on_the_scores_before_a_softmax(ending, run):
    wanted, found = run(linear(), POINT, LABEL), run(ENDINGS[ending](), POINT, LABEL)
    assert found.success.all() and found.distance == pytest.approx(wanted.distance, rel=1e-6)


@pytest.mark.parametrize("ending", ENDINGS)
def test_objectives_of_a_class_are_its_score_before_a_softmax(ending):
    model = ENDINGS[ending]()
    for term in (ascent.logit, ascent.margin, ascent.probability):
        assert float(term(model, 1)(sp.asarray(POINT))) == pytest.approx(float(term(linear(), 1)(sp.asarray(POINT))))
    moved = attack.pgd(model, POINT, LABEL, 0.1, steps=3).x
    assert np.array_equal(arr(moved), arr(attack.pgd(linear(), POINT, LABEL, 0.1, steps=3).x))


class Ending(nn.Module):
    def __init__(self, last):
        self.inner, self.last = linear(), last

    def forward(self, v):
        return self.last(self.inner(v))


FUNCTIONS = {
    "softmax": lambda z: sp.softmax(z, axis=-1),
    "sigmoid": sp.sigmoid,
    "moved": lambda z: sp.softmax(z.T, axis=0).T,
    "by hand": lambda z: sp.exp(z) / sp.sum(sp.exp(z), axis=-1, keepdims=True),
    "by logarithms": lambda z: sp.exp(sp.log_softmax(z, axis=-1)),
    "clipped": lambda z: sp.clip(sp.softmax(z, axis=-1), 0.0, 1.0),
    "two of one": lambda z: sp.concat([sp.sigmoid(z[:, :1]), 1 - sp.sigmoid(z[:, :1])], axis=-1),
}


@pytest.mark.parametrize("ending", FUNCTIONS)
@pytest.mark.parametrize("whole", [True, False], ids=["module", "function"])
def test_a_function_that_ends_in_probabilities_is_refused_with_the_fix(ending, whole):
    module = Ending(FUNCTIONS[ending])
    model = module if whole else (lambda v: module(v))
    runs = [lambda run=run: run(model, POINT, LABEL) for run in ATTACKS]
    runs += [lambda: attack.pgd(model, POINT, LABEL, 0.1), lambda: attack.masking(model, POINT, LABEL, 0.1)]
    runs += [lambda: ascent.maximize(ascent.logit(model, 0), POINT, 2)]
    for run in runs:
        with pytest.raises(ValueError, match=r"ends in a (softmax|sigmoid).*float32\(1, [23]\).*scores before"):
            run()


def test_scores_that_only_look_like_probabilities_are_taken():
    model = lambda v: sp.concat([v[:, :1], 1 - v[:, :1]], axis=-1) / 1.0  # noqa: E731
    assert attack.deepfool(model, np.float32([[0.75]]), [0]).distance[0] == pytest.approx(0.255, rel=1e-3)


def test_log_probabilities_differ_as_scores_do_and_only_a_single_logit_is_refused():
    model = Ending(lambda z: sp.log_softmax(z, axis=-1))
    wanted = attack.deepfool(linear(), POINT, LABEL).distance
    assert attack.deepfool(model, POINT, LABEL).distance == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(ValueError, match="logit: the model ends in a log-softmax"):
        ascent.maximize(ascent.logit(model, 0), POINT, 1)
