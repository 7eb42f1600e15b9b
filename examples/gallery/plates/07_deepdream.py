"""DeepDream

A whole layer's activations are increased in a photograph, at four scales: the photograph, SqueezeNet's fire4 and fire7,
VGG16's relu4_2, and fire6 guided by a cup of coffee.
"""

import numpy as np
from steep import ascent, data, pictures, zoo
from steep.random import Generator

squeezenet, vgg = zoo.load("squeezenet1_1"), zoo.load("vgg16_features")


def dream(model, layer, guide=None):
    way = model.preprocessing
    cat = way.preprocess(data.photo("chelsea"))[:, :, :224, :224]
    hint = None if guide is None else way.preprocess(data.photo(guide))
    run = ascent.deepdream(model, layer, cat, guide=hint, bounds=(way.low, way.high), generator=Generator(0))
    return way.to_image(run.image)


way = squeezenet.preprocessing
photo = way.to_image(way.preprocess(data.photo("chelsea"))[:, :, :224, :224])
guided = dream(squeezenet, "fire6", guide="coffee")
tiles = [photo, dream(squeezenet, "fire4"), dream(squeezenet, "fire7"), dream(vgg, "relu4_2"), guided]
sheet = pictures.sheet(tiles + [np.full_like(photo, 255)], columns=3, gap=4)
