"""Four expressions

The styles of MobileStyleGAN, a generator of faces that others have trained, are optimised for four sentences; of each
the start and the result. The faces are nobody's. A network of expressions guides the ascent; another, which took no
part, says what it sees. Look at what else has changed, hair, eyes, even the colour of the skin: what came with an
expression in the data of these networks is a cue to them, and a tongue or a red mouth is worth more than a likely face.
"""

from steep import imagine, pictures

prompts = ("a smiling face", "a surprised face", "an angry face", "a sad face")
drawings = [imagine.draw(prompt, generator="mobilestylegan", steps=30, seed=0) for prompt in prompts]
pairs = [[pictures.resized(each, 200, 200) for each in (d.start, d.picture)] for d in drawings]
sheet = pictures.sheet([pictures.sheet(pair, 2, gap=2, background=255) for pair in pairs], 2, gap=10, background=255)
judges = [drawing.standings[1] for drawing in drawings]
note = "The judge's most probable expression, start and result: " + "; ".join(
    f"{prompt}, {judge.start_seen}, {judge.seen}" for prompt, judge in zip(prompts, judges, strict=True)
)
