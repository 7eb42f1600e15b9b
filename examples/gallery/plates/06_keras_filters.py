"""VGG16's filters by the recipe of Keras's "Visualizing what convnets learn"

Thirty steps of length 10 along the gradient, from noise; sixteen filters of three blocks, one block a row of eight
twice.
"""

import numpy as np
from steep import ascent, pictures, zoo
from steep.random import Generator

model = zoo.load("vgg16_features")
layers = ["relu2_2", "relu3_3", "relu4_3"]
runs = [ascent.filters(model, layer, range(8), size=130, lr=10.0, generator=Generator(0)) for layer in layers]
sheet = pictures.sheet([pictures.deprocess(image) for run in runs for image in np.asarray(run.image)], columns=8, gap=5)
