"""Feature visualization of ten digits

One run maximises all classes: a batch of ten, a class for each row. The network has 55,000 weights and ships with
steep.
"""

from functools import partial

import numpy as np
from steep import ascent, optim, pictures, zoo
from steep.random import Generator
from steep.scores import probabilities

model = zoo.load("digits_cnn")
goal = ascent.logit(model, np.arange(10)) + ascent.margin(model, np.arange(10))
start = ascent.pixels(Generator(0).uniform(0.0, 0.2, (10, 1, 28, 28))).then(ascent.blur(0.7))
penalty = 0.1 * ascent.l2 + 0.05 * ascent.total_variation
run = ascent.maximize(goal, start, 200, partial(optim.Adam, lr=0.05), penalty, project=ascent.box(0, 1))
chances = np.asarray(probabilities(model, run.image))[np.arange(10), np.arange(10)]
note = f"The network gives each of them a probability of at least {chances.min():.3f}."
tiles = [pictures.rgb(image).repeat(5, 0).repeat(5, 1) for image in np.asarray(run.image)]
sheet = pictures.sheet(tiles, columns=5, gap=4)
