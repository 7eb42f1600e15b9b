"""Eight saliency maps of a cat

The photograph, then gradient, SmoothGrad, integrated gradients, input times gradient, guided backprop, deconvnet,
Grad-CAM and occlusion of SqueezeNet's tabby. The line below says which of them depend on what the network learned.
"""

import numpy as np
from steep import data, pictures, saliency, zoo
from steep.random import Generator

model = zoo.load("squeezenet1_1")
way = model.preprocessing
cat, tabby = way.preprocess(data.photo("chelsea")), 281
maps = {
    "gradient": saliency.gradient,
    "SmoothGrad": lambda m, x, t: saliency.smoothgrad(m, x, t, samples=20, generator=Generator(0)),
    "integrated gradients": lambda m, x, t: saliency.integrated_gradients(m, x, t, steps=32),
    "input x gradient": saliency.input_times_gradient,
    "guided backprop": saliency.guided_backprop,
    "deconvnet": saliency.deconvnet,
    "Grad-CAM": lambda m, x, t: saliency.grad_cam(m, x, "fire9", t),
    "occlusion": lambda m, x, t: saliency.occlusion(m, x, t, window=40),
}


def tile(map):
    values = np.asarray(map)[0]
    values = np.abs(values).max(axis=0) if values.ndim == 3 else np.maximum(values, 0)
    return pictures.hot(np.minimum(values, np.quantile(values, 0.995)))


sheet = pictures.sheet(
    [way.to_image(cat)] + [tile(draw(model, cat, tabby)) for draw in maps.values()], columns=3, gap=4
)
asked = {name: saliency.sanity.cascade(model, cat, tabby, draw, stages=1) for name, draw in maps.items()}
note = (
    "Rank correlation with the map of a random network: "
    + ", ".join(f"{n} {c.final:.2f}" for n, c in asked.items())
    + "."
)
