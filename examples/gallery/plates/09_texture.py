"""A texture from a layer's statistics

Noise is optimised until the Gram matrices of three layers of VGG16 equal those of a photograph: the texture of coffee,
of a cat and of a night sky, without their shapes. The photographs are above.
"""

from dataclasses import replace
from functools import partial

from steep import ascent, data, optim, pictures, zoo
from steep.random import Generator

model = zoo.load("vgg16_features")
way = replace(model.preprocessing, size=160)
layers = {"relu1_2": 1e-2, "relu2_2": 1e-3, "relu3_3": 1e-4}


def texture(photo):
    priors = [weight * ascent.feature_statistics(model, layer, photo, "gram") for layer, weight in layers.items()]
    noise = way.normalize(Generator(0).uniform(0.3, 0.7, way.shape))
    run = ascent.maximize(-sum(priors), noise, 120, partial(optim.Adam, lr=0.1), project=ascent.box(way.low, way.high))
    return way.to_image(run.image)


photos = [way.preprocess(data.photo(name)) for name in ("coffee", "chelsea", "rocket")]
sheet = pictures.sheet([way.to_image(p) for p in photos] + [texture(p) for p in photos], columns=3, gap=4)
