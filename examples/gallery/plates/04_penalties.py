"""Regularization of feature visualization

One channel of SqueezeNet, maximised in six ways: plain pixels; with total variation; with a low-pass filter after each
step; with an edge-preserving filter; under jitter; as a spectrum.
"""

from functools import partial

import numpy as np
from steep import ascent, optim, pictures, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
way = model.preprocessing
goal = ascent.channel(model, "fire6", 20)
noise = way.normalize(Generator(0).uniform(0.45, 0.55, way.shape))
climb = partial(ascent.maximize, goal, steps=150, optimizer=partial(optim.SGD, lr=2.0), normalize="mean_abs")
inside = ascent.box(way.low, way.high)
runs = [
    climb(noise, project=inside),
    climb(noise, project=inside, penalty=1e-5 * ascent.total_variation),
    climb(noise, project=ascent.compose(ascent.gaussian(0.6), inside)),
    climb(noise, project=ascent.compose(ascent.bilateral(1.0, 12.0), inside)),
    climb(noise, project=inside, transform=ascent.jitter(16, Generator(1), wrap=True)),
]
spectrum = ascent.visualize(goal, way.shape, steps=150, preprocess=way.normalize, generator=Generator(0))
tiles = [way.to_image(run.image) for run in runs] + [pictures.rgb(np.asarray(spectrum.image)[0])]
sheet = pictures.sheet(tiles, columns=3, gap=4)
