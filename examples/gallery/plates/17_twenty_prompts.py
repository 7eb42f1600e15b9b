"""Twenty sentences

The latent of a generator of emoji, which steep has trained, is optimised for each of twenty sentences that were fixed
before anything was drawn. From left to right: the start, near the latent of a real picture that fits, the result, and
the real picture that is nearest to it by pixels. None is left out; [imagine.md](imagine.md) has the ranks of each.
"""

from steep import imagine, pictures
from steep.imagine.prompts import PROMPTS

guide, judge = imagine.scorer("emoji+squeezenet"), imagine.scorer("judge")
generator = imagine.generator("emoji")
drawings = [imagine.draw(prompt, guide, generator, judge=judge, steps=50, seed=0) for prompt, _ in PROMPTS]
rows = [pictures.sheet([d.start, d.picture, d.nearest], 3, gap=1, background=255) for d in drawings]
sheet = pictures.sheet(rows, columns=4, gap=10, background=255)
