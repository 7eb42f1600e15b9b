"""Feature visualization of classes

The logit of a class is maximised from noise. Siamese cat, espresso, daisy, ladybug, pineapple, fire engine.
"""

import numpy as np
from steep import ascent, pictures, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
way = model.preprocessing


def visualization(name):
    goal = ascent.logit(model, model.classes.index(name))
    run = ascent.visualize(goal, way.shape, steps=256, lr=0.02, preprocess=way.normalize, generator=Generator(1))
    return pictures.rgb(np.asarray(run.image)[0])


names = ["Siamese cat", "espresso", "daisy", "ladybug", "pineapple", "fire engine"]
sheet = pictures.sheet([visualization(name) for name in names], columns=3, gap=4)
