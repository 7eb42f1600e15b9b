"""The photographs with the highest activation, and their receptive fields

Of twenty-four photographs, the nine with the highest activation of a channel of SqueezeNet's fire7; beside each its
receptive field, and the gradient there.
"""

import numpy as np
import steep as sp
from steep import ascent, data, pictures, saliency, zoo

model = zoo.load("squeezenet1_1")
way = model.preprocessing
names = ["chelsea", "coffee", "astronaut", "rocket"]
photos = [data.photo(name) for name in names] + [entry.picture for entry in data.photos("imagenet")]
dataset = sp.concat([way.preprocess(photo) for photo in photos]).numpy()
layer, channel, side = "fire7", 33, 112
top = saliency.top_k(dataset, saliency.unit(model, layer, channel), 9)


def trio(index, place):
    rows, columns = saliency.receptive_field(model, layer, dataset.shape[1:], place)
    x = dataset[index : index + 1]
    grad = np.asarray(saliency.gradient(model, x, ascent.neuron(model, layer, channel, place), channels="max"))[0]
    cuts = [way.to_image(x), way.to_image(x)[rows, columns], pictures.hot(grad[rows, columns])]
    return [np.asarray(pictures.resized(cut, side, side)) for cut in cuts]


tiles = [t for i, p in zip(top.indices, top.positions, strict=True) for t in trio(int(i), tuple(int(v) for v in p))]
sheet = pictures.sheet(tiles, columns=9, gap=3)
