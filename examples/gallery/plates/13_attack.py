"""A cat that is classified as an espresso

The smallest change that Carlini and Wagner's attack finds, and a bounded one by PGD: the image after, and the change,
made visible. Success is evaluated by predicting again.
"""

import numpy as np
import steep as sp
from steep import attack, data, pictures, zoo

model = zoo.load("squeezenet1_1")
way = model.preprocessing
cat, espresso = sp.clip(way.denormalize(way.preprocess(data.photo("chelsea"))), 0, 1), [model.classes.index("espresso")]
logits = lambda pixels: model(way.normalize(pixels))  # noqa: E731
found = [
    attack.carlini_wagner(logits, cat, espresso, targeted=True, steps=100, searches=4, initial=10.0),
    attack.pgd(logits, cat, espresso, 0.01, targeted=True),
]
tiles, lines = [], []
for one in found:
    change = np.asarray(one.x - cat)[0]
    tiles += [pictures.rgb(np.asarray(one.x)[0]), pictures.rgb(0.5 + change / (2 * np.abs(change).max()))]
    chance = float(sp.softmax(logits(one.x), axis=-1)[0, espresso[0]])
    lines.append(f"largest change {np.abs(change).max():.4f}, success {bool(one.success[0])}, p = {chance:.3f}")
note = f"Carlini-Wagner: {lines[0]}. PGD: {lines[1]}."
sheet = pictures.sheet(tiles, columns=4, gap=4)
