"""One sentence, four maps to pictures

"A sunflower" as a latent of the generator of emoji, as pixels, as a spectrum with decorrelated colours, and as a small
network from coordinates to colours (CPPN), all guided by the same towers. Without a generator the guide is fooled: it
likes these better than most real pictures, and the judge is not convinced.
"""

from steep import imagine, pictures

maps = ("emoji", "pixels", "fft", "cppn")
guide, judge = imagine.scorer("emoji"), imagine.scorer("judge")
drawings = [imagine.draw("a sunflower", guide, name, judge=judge, steps=100, seed=0) for name in maps]
tiles = [pictures.resized(drawing.picture, 192, 192) for drawing in drawings]
sheet = pictures.sheet(tiles, columns=4, gap=4, background=255)
both = [tuple(standing.rank for standing in drawing.standings) for drawing in drawings]
ranks = ", ".join(f"{name} {guided} and {judged}" for name, (guided, judged) in zip(maps, both, strict=True))
note = f"Ranks among 4,871 real pictures by the guide and by the judge: {ranks}."
