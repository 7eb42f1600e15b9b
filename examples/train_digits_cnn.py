"""Make python/steep/zoo/weights/digits_cnn.safetensors: the small network for digits that ships with steep.

    python examples/train_digits_cnn.py --output python/steep/zoo/weights/digits_cnn.safetensors

Every run writes the same bytes, on any number of threads and any processor.
"""

import steep as sp
from classifiers import run
from steep import io
from steep.training import Recipe
from steep.zoo.digits_cnn import digits_cnn

RECIPE = Recipe(epochs=40, batch_size=64, lr=0.05, weight_decay=1e-3, noise=0.2, shift=2)

if __name__ == "__main__":
    with sp.matmul_precision("fma"):  # the bits that every instruction set shares
        given, recipe, trained = run(__doc__, "mnist5k", RECIPE, digits_cnn)
    facts = {
        "model": "steep.zoo.digits_cnn",
        "script": "examples/train_digits_cnn.py",
        "data": "mnist5k, 4,000 digits; pixels in [0, 1]",
        "recipe": str(recipe),
        "seed": str(recipe.seed),
        "test_accuracy": f"{trained.test_accuracy:.4f}",
    }
    if given.output:
        io.save(given.output, trained.model.state_dict(), facts)
