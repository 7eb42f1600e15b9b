"""Inversion of layers

A cat reconstructed from noise, from nothing but its activations in deeper and deeper layers of SqueezeNet. Storing
activations instead of photographs does not anonymise them.
"""

from steep import ascent, data, pictures, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
way = model.preprocessing
cat, box = way.preprocess(data.photo("chelsea")), (way.low, way.high)
prior = 0.02 * ascent.mahendran_vedaldi(cat.shape, box)
layers = ["fire2", "fire3", "fire4", "fire5", "fire7", "fire9", "conv10"]
runs = {
    layer: ascent.invert(model, layer, cat, steps=250, penalty=prior, bounds=box, generator=Generator(0))
    for layer in layers
}
note = "Pixels off by " + ", ".join(f"{run.input_error:.2f} ({layer})" for layer, run in runs.items()) + "."
sheet = pictures.sheet([way.to_image(x) for x in (cat, *(run.image for run in runs.values()))], columns=4, gap=4)
