"""VGG16's filters by the recipe of Keras's "Visualizing what convnets learn"

Thirty steps of length 10 along the gradient, from noise, for the first eight filters of three convolutions, one row
each.
"""

import numpy as np
from steep import ascent, pictures, zoo
from steep.random import Generator

model = zoo.load("vgg16_features")
layers = ["conv2_2", "conv3_3", "conv4_3"]
runs = [ascent.filters(model, layer, range(8), size=130, lr=10.0, generator=Generator(0)) for layer in layers]
sheet = pictures.sheet([pictures.deprocess(image) for run in runs for image in np.asarray(run.image)], columns=8, gap=5)
