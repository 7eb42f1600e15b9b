"""Train a convolutional network on 4,000 digits and test it on 1,000 others. Options as in fashion_mnist.py."""

from classifiers import run
from steep import io
from steep.training import Recipe

RECIPE = Recipe(epochs=30, batch_size=64, lr=0.05, weight_decay=5e-4, noise=0.1, shift=2)

if __name__ == "__main__":
    given, _, trained = run(__doc__, "mnist5k", RECIPE)
    if given.output:
        io.save(given.output, trained.model.state_dict())
