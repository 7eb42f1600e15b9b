"""Options and optimisers beyond the classic five: trajectories and rates that PyTorch 2.13 gave, and Keras's formulas.

The trajectories are the weights after 12 steps in float64 on a quadratic, gradient ``A w - b``, from (1, -1, 2).
"""

import math

import numpy as np
import pytest
import steep as sp
from steep import optim
from steep.optim import schedules

A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 3.0]])
B = np.array([1.0, -2.0, 0.5])
START = [1.0, -1.0, 2.0]

TORCH = {
    "SGD(lr=0.1, momentum=0.9, dampening=0.5)": [1.2434712284318705, -3.3562242352974923, 0.3468059788921896],
    "Adam(lr=0.1, amsgrad=True)": [1.0342024554718938, -2.076533573153352, 0.8394507842686272],
    "AdamW(lr=0.1, amsgrad=True, weight_decay=0.1)": [0.9844654274569261, -1.941826463371155, 0.6866125834131087],
    "AdaGrad(lr=0.1, lr_decay=0.3, initial_accumulator=0.2)": [
        0.8375596677161389,
        -1.2747406471413523,
        1.697269454371654,
    ],
    "RMSProp(lr=0.05, centered=True)": [1.112724740450497, -2.472547082744666, 0.1290728327511561],
    "RMSProp(lr=0.05, momentum=0.8)": [1.1362185248278651, -2.2724718141370093, 0.14781968318519204],
    "RMSProp(lr=0.05, momentum=0.8, centered=True, alpha=0.7, weight_decay=0.1)": [
        1.1052053532647619,
        -2.626261242261224,
        -0.6057199635006135,
    ],
    "Adadelta(lr=2.0, rho=0.8)": [0.9430364844323381, -1.0612749333235396, 1.9377670064209545],
    "Adamax(lr=0.1, weight_decay=0.1)": [0.7990296671653246, -1.773953240811045, 0.965895849044799],
    "NAdam(lr=0.1)": [0.931885762586539, -1.8139249877949377, 1.1028587866403339],
    "RAdam(lr=0.1)": [0.8192218980066929, -1.5025736643652856, -0.08047040151292241],
    "RAdam(lr=0.1, betas=(0.8, 0.7))": [0.9711864475476628, -2.1042807139835586, -0.3307187529578235],
}


def gradient(w):
    return sp.tensor(A @ np.asarray(w) - B)


def trajectory(make, steps=12, compiled=False):
    w = sp.tensor(START, dtype=sp.float64)
    optimizer = make([w])

    def step(g):
        optimizer.apply_gradients([(g, w)])

    run = sp.compile(step) if compiled else step
    for _ in range(steps):
        run(gradient(w))
    return np.asarray(w)


def made(text):
    return eval(f"lambda params: optim.{text.replace('(', '(params, ', 1)}", {"optim": optim})


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("text", TORCH)
def test_trajectories_are_pytorchs(text, compiled):
    assert np.allclose(trajectory(made(text), compiled=compiled), TORCH[text], rtol=1e-9, atol=0)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_in_kerass_form(amsgrad):
    """w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps), v the largest so far with amsgrad."""
    w, m, v, top = np.array(START), np.zeros(3), np.zeros(3), np.zeros(3)
    for t in range(1, 13):
        g = A @ w - B
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        top = np.maximum(top, v)
        root = np.sqrt(top if amsgrad else v) + 1e-7
        w = w - 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / root
    found = trajectory(lambda p: optim.Adam(p, 0.1, amsgrad=amsgrad, formulation="keras"))
    assert np.allclose(found, w, rtol=1e-12)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_rmsprop_in_kerass_form(centered, momentum):
    """The eps is inside the root, and the velocity contains the rate."""
    w, a, m, velocity = np.array(START), np.zeros(3), np.zeros(3), np.zeros(3)
    for _ in range(12):
        g = A @ w - B
        a, m = 0.9 * a + 0.1 * g * g, 0.9 * m + 0.1 * g
        step = 0.05 * g / np.sqrt(a - (m * m if centered else 0) + 1e-7)
        velocity = momentum * velocity + step
        w = w - (velocity if momentum else step)
    found = trajectory(lambda p: optim.RMSProp(p, 0.05, momentum=momentum, centered=centered, formulation="keras"))
    assert np.allclose(found, w, rtol=1e-12)


def test_lion_by_its_formula():
    w, m = np.array(START), np.zeros(3)
    for _ in range(12):
        g = A @ w - B
        w = w * (1 - 0.05 * 0.1) - 0.05 * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
    assert np.allclose(trajectory(lambda p: optim.Lion(p, 0.05, weight_decay=0.1)), w, rtol=1e-12)


@pytest.mark.parametrize("text", [*TORCH, "Lion(lr=0.05)"])
def test_states_are_saved_and_the_sign_can_be_reversed(text):
    w, other = (sp.tensor(START, dtype=sp.float64) for _ in range(2))
    first, second = made(text)([w]), made(text)([other])
    for _ in range(3):
        first.apply_gradients([(gradient(w), w)])
    second.load_state_dict(first.state_dict())
    other[...] = w
    for optimizer, at in ((first, w), (second, other)):
        optimizer.apply_gradients([(gradient(at), at)])
    assert np.array_equal(np.asarray(w), np.asarray(other))
    up = sp.tensor(START, dtype=sp.float64)
    maximizer = made(f"{text[:-1]}, maximize=True)")([up])
    for _ in range(4):
        maximizer.apply_gradients([(-gradient(up), up)])
    assert np.array_equal(np.asarray(up), np.asarray(w))


@pytest.mark.parametrize("compiled", [False, True])
def test_groups_have_rates_and_decays_of_their_own(compiled):
    """PyTorch 2.13: AdamW with the groups below, lr .05 and weight decay .1 elsewhere, 5 steps."""
    u, v = sp.tensor(START[:2], dtype=sp.float64), sp.tensor(START[2:], dtype=sp.float64)
    groups = [{"params": [u], "lr": 0.2}, {"params": [v], "weight_decay": 0.5}]
    optimizer = optim.AdamW(groups, lr=0.05, weight_decay=0.1)

    def step(a, b):
        optimizer.apply_gradients([(a, u), (b, v)])

    run = sp.compile(step) if compiled else step
    for _ in range(5):
        g = A @ np.concatenate([u, v]) - B
        run(sp.tensor(g[:2]), sp.tensor(g[2:]))
    assert np.allclose([*u.tolist(), *v.tolist()], GROUPS, rtol=1e-9)


GROUPS = [0.7849797297523641, -1.7901456608788304, 1.5255277911052159]


def test_a_group_may_have_a_schedule_and_a_coupled_decay():
    w, fixed = sp.tensor([1.0]), sp.tensor([1.0])
    groups = [
        {"params": {"w": w}, "lr": schedules.step(1.0, 1, 0.5)},
        {"params": fixed, "weight_decay": 1.0, "lr": 0.1},
    ]
    optimizer = optim.SGD(groups, lr=5.0)
    for _ in range(3):
        optimizer.apply_gradients([(sp.tensor([1.0]), w), (sp.tensor([0.0]), fixed)])
    assert w.tolist() == [1 - 1.75] and np.allclose(fixed.tolist(), 0.9**3)
    x = sp.tensor([1.0])
    assert optim.minimize(lambda p: (p**2).sum(), x, optim.SGD([{"params": [x], "lr": 0.25}], lr=9.0), 2).history == [
        1,
        0.25,
    ]


def test_groups_that_cannot_be_are_refused():
    w = sp.tensor([1.0])
    with pytest.raises(ValueError, match=r"has the options lr and weight_decay, got \['betas'\]"):
        optim.Adam([{"params": [w], "betas": (0.5, 0.5)}])
    with pytest.raises(ValueError, match="a parameter is in two groups"):
        optim.SGD([{"params": [w]}, {"params": [w]}], lr=0.1)
    with pytest.raises(ValueError, match="must not be negative"):
        optim.SGD([{"params": [w], "lr": -1.0}], lr=0.1)
    with pytest.raises(ValueError, match="rho and alpha are two names"):
        optim.RMSProp([w], rho=0.9, alpha=0.9)
    with pytest.raises(ValueError, match="dampening is of the formulation"):
        optim.SGD([w], 0.1, 0.9, nesterov=True, dampening=0.5)


# -- schedules: rates of PyTorch 2.13, by the scheduler named ------------------------------------------------------

LOSSES = [3, 2, 2, 2.1, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9]
RATES = {
    "OneCycleLR": (
        schedules.one_cycle(1.0, 10),
        [
            0.04,
            0.52,
            1.0,
            0.950484632013474,
            0.811745653949763,
            0.611262021936289,
            0.388741978063711,
            0.188258346050237,
            0.049519367986526,
            4e-06,
        ],
    ),
    "OneCycleLR, other shape": (
        schedules.one_cycle(1.0, 7, 0.5, 10, 100),
        [0.1, 0.410942352531274, 0.914057647468726, 0.950533949517258, 0.611649206511179, 0.189066843971563, 0.001],
    ),
    "CosineAnnealingWarmRestarts": (
        schedules.cosine_restarts(1.0, 3, 2, 0.1),
        [1.0, 0.775, 0.325, 1.0, 0.939711431702997, 0.775, 0.55, 0.325, 0.160288568297003, 1.0],
    ),
    "PolynomialLR": (schedules.polynomial(1.0, 5, power=2.0), [1.0, 0.64, 0.36, 0.16, 0.04, 0.0, 0.0, 0.0]),
    "MultiStepLR": (schedules.piecewise([1.0, 0.1, 0.01], [2, 5]), [1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01]),
}


@pytest.mark.parametrize("name", RATES)
def test_rates_are_pytorchs(name):
    schedule, rates = RATES[name]
    assert np.allclose([schedule(t) for t in range(len(rates))], rates, rtol=1e-12, atol=1e-15)


def test_a_plateau_is_pytorchs():
    rate, seen = schedules.Plateau(1.0, factor=0.5, patience=1, cooldown=1), []
    for loss in LOSSES:
        seen.append(rate(0))
        rate.observe(loss)
    assert seen == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]
    other = schedules.Plateau(1.0, factor=0.5, patience=1, cooldown=1)
    other.load_state_dict(rate.state_dict())
    assert other(0) == rate(0) and other.best == rate.best
    up = schedules.Plateau(1.0, factor=0.5, patience=0, larger_is_better=True)
    for value in (0.5, 0.6, 0.6):
        up.observe(value)
    assert up(0) == 0.5
    with pytest.raises(ValueError, match="factor must lie between 0 and 1"):
        schedules.Plateau(1.0, factor=1.0)


def test_restarts_of_one_length_and_schedules_one_after_another():
    restarts = schedules.cosine_restarts(1.0, 4)
    assert [restarts(t) for t in range(4)] == [restarts(t) for t in range(4000, 4004)]
    joined = schedules.chain((0.1, 2), (schedules.polynomial(1.0, 2), 2), (0.3, 1))
    assert [joined(t) for t in range(6)] == [0.1, 0.1, 1.0, 0.5, 0.3, 0.3]
    with pytest.raises(ValueError, match="at least one schedule"):
        schedules.chain()
    with pytest.raises(ValueError, match="increasing changes"):
        schedules.piecewise([1.0, 0.1], [3, 5])


CLIPPED = {  # PyTorch 2.13's clip_grad_norm_ to 1.5, by order of the norm
    1.0: (6.5, [0.692307585798833, -0.23076919526627765, 0.4615383905325553, 0.11538459763313882]),
    2.0: (3.774917217635375, [1.1920788055691491, -0.3973596018563831, 0.7947192037127662, 0.19867980092819154]),
    math.inf: (3.0, [1.4999995000001667, -0.4999998333333889, 0.9999996666667778, 0.24999991666669444]),
}


@pytest.mark.parametrize("ord", CLIPPED)
def test_clipped_gradients_are_pytorchs(ord):
    g = [sp.tensor([3.0, -1.0], dtype=sp.float64), None, sp.tensor([[2.0, 0.5]], dtype=sp.float64)]
    norm, values = CLIPPED[ord]
    found = optim.gradients.clip_norm(g, 1.5, ord)
    assert float(optim.gradients.norm(g, ord)) == pytest.approx(norm, rel=1e-12) and found[1] is None
    assert np.allclose([*found[0].tolist(), *found[2].tolist()[0]], values, rtol=1e-9)
