"""One photograph, dreamt at every depth

The activations of one layer of SqueezeNet are increased in the photograph at the upper left: first layers draw strokes,
as a brush does, later ones textures, then eyes, and fire9 the face of a dog. From left to right and down: relu1, fire2
to fire9.
"""

from steep import ascent, data, pictures, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
way = model.preprocessing
photo = way.preprocess(data.photo("coffee"))[:, :, :180, :180]


def dreamt(layer):
    run = ascent.deepdream(model, layer, photo, octaves=2, steps=30, bounds=(way.low, way.high), generator=Generator(0))
    return way.to_image(run.image)


layers = ["relu1", *(f"fire{i}" for i in range(2, 10))]
sheet = pictures.sheet([way.to_image(photo), *map(dreamt, layers)], columns=5, gap=4)
