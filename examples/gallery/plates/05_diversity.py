"""Diversity of one channel

A channel may respond to several patterns. Four images are optimised together, each to maximise the channel, with a term
for the `diversity` of their textures; the upper row is without that term.
"""

import numpy as np
from steep import ascent, pictures, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
way = model.preprocessing
shape = (4, 3, 160, 160)


def visualization(goal):
    run = ascent.visualize(goal, shape, steps=150, preprocess=way.normalize, generator=Generator(0))
    return [pictures.rgb(image) for image in np.asarray(run.image)]


one = ascent.channel(model, "fire5", 31)
sheet = pictures.sheet(
    visualization(one) + visualization(one + 2000.0 * ascent.diversity(model, "fire4")), columns=4, gap=4
)
