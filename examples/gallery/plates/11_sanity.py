"""Does the map depend on the weights?

From left to right more layers of SqueezeNet are randomised, the last ones first. The gradient (above) changes at once;
guided backprop (below) still shows the cat with half of the network randomised, and fades only with all of it.
"""

import copy

import numpy as np
from steep import data, pictures, saliency, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
cat = model.preprocessing.preprocess(data.photo("chelsea"))


def randomised(count):
    broken = copy.deepcopy(model)
    draw = Generator(0)
    for _, tensors in list(saliency.sanity.weights_by_layer(broken))[:count]:
        for tensor in tensors:
            saliency.sanity.randomise(tensor, draw)
    return broken


def tile(method, count):
    values = np.abs(np.asarray(method(randomised(count), cat, 281))[0]).max(axis=0)
    return pictures.hot(np.minimum(values, np.quantile(values, 0.995)))


counts = [0, 1, 5, 13, 26]
tiles = [tile(method, count) for method in (saliency.gradient, saliency.guided_backprop) for count in counts]
sheet = pictures.sheet(tiles, columns=5, gap=4)
