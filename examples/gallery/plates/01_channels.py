"""Feature visualization of channels, from shallow to deep

Images optimised for 200 steps from noise to maximise one channel of SqueezeNet: a spectrum with decorrelated colours,
under random jitter, scaling and rotations. Edges and textures come first, then parts, then animals.
"""

import numpy as np
from steep import ascent, pictures, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
way = model.preprocessing
layers = [f"fire{i}" for i in range(2, 10)]
channels = [5, 20, 7, 40, 20, 33, 100, 12]


def visualization(layer, index):
    goal = ascent.channel(model, layer, index)
    run = ascent.visualize(goal, way.shape, steps=200, preprocess=way.normalize, generator=Generator(0))
    return pictures.rgb(np.asarray(run.image)[0])


sheet = pictures.sheet([visualization(*unit) for unit in zip(layers, channels, strict=True)], columns=4, gap=4)
