"""The answer

"What is the answer to the ultimate question of life, the universe, and everything?", by the generator of emoji: the
start, the result, and the real picture nearest to it. Nothing here knows the answer; what the towers see in the
question is what the text encoder makes of its words.
"""

from steep import imagine, pictures

question = "what is the answer to the ultimate question of life, the universe, and everything?"
drawing = imagine.draw(question, "emoji+squeezenet", "emoji", judge="judge", steps=50, seed=42)
tiles = [pictures.resized(each, 192, 192) for each in (drawing.start, drawing.picture, drawing.nearest)]
sheet = pictures.sheet(tiles, columns=3, gap=4, background=255)
guide, judge = drawing.standings
words = ", ".join(word for word, _ in imagine.describe(drawing.picture, "judge").words[:5])
note = (
    f"Rank {guide.rank} among {guide.count:,} real pictures by the towers that guided it ({guide.start_rank} at the "
    f"start), {judge.rank} by the judge ({judge.start_rank}): cosine {judge.cosine:.2f}, where the best real picture "
    f"has {judge.best_real:.2f}. The words nearest to the picture, by the judge: {words}."
)
