"""Ten digits, misclassified

The network for digits, attacked by PGD within .25, by DeepFool, DDN and the box-constrained L-BFGS; above, the digits.
All are misclassified.
"""

import numpy as np
from steep import attack, data, pictures, zoo

model = zoo.load("digits_cnn")
x, y = data.load("mnist5k").test
x, y = x[:10, None], y[:10]
runs = {"PGD": attack.pgd(model, x, y, 0.25), "DeepFool": attack.deepfool(model, x, y), "DDN": attack.ddn(model, x, y),
        "L-BFGS": attack.lbfgs(model, x, y)}  # fmt: skip
note = "Success, and mean distance: " + ", ".join(
    f"{n} {r.success.sum()} of 10, {r.distance.mean():.2f}" for n, r in runs.items()
)
rows = [x, *(np.asarray(run.x) for run in runs.values())]
sheet = pictures.sheet(
    [pictures.rgb(image).repeat(3, 0).repeat(3, 1) for row in rows for image in row], columns=10, gap=3
)
