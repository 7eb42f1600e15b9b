"""Train a convolutional network on the 60,000 images of Fashion-MNIST.

python examples/fashion_mnist.py --checkpoint fashion.safetensors            # stop it whenever you like
python examples/fashion_mnist.py --checkpoint fashion.safetensors --resume   # the same bits as without a stop
"""

from classifiers import run
from steep import io
from steep.training import Recipe

RECIPE = Recipe(epochs=12, batch_size=128, lr=0.05, weight_decay=5e-4, noise=0, shift=1, flip=True)

if __name__ == "__main__":
    given, _, trained = run(__doc__, "fashion_mnist", RECIPE)
    if given.output:
        io.save(given.output, trained.model.state_dict())
