"""``attribution``: what each token of a text adds to its similarity with another, by integrated gradients.

The vectors of tokens are the input; the baseline has the vector of [PAD] for every word. The parts add up to the
difference of the two similarities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from steep import _core, nn, saliency
from steep._core import Tensor
from steep.display import displayed
from steep.text.encoder import TextEncoder


@displayed
@dataclass(frozen=True)
class TokenAttribution:
    """What each token adds to a score.

    Attributes:
        tokens: the tokens of the text.
        parts: a number for each.
        score: the similarity of the two texts.
        baseline: that of the text with all its words blank.
        gap: |sum of parts - (score - baseline)|, relative to that difference.
    """

    tokens: list[str]
    parts: list[float]
    score: float
    baseline: float
    gap: float

    def words(self) -> list[tuple[str, float]]:
        """Words with the sums of their parts, without the special tokens at the ends."""
        made: list[tuple[str, float]] = []
        for token, part in zip(self.tokens[1:-1], self.parts[1:-1], strict=True):
            if token.startswith("##") and made:
                made[-1] = made[-1][0] + token[2:], made[-1][1] + part
            else:
                made.append((token, part))
        return made

    def html(self) -> str:
        """The words as HTML, green where they add to the score and red where they take away."""
        from html import escape

        largest = max((abs(part) for _, part in self.words()), default=0.0) or 1.0
        spans = []
        for word, part in self.words():
            colour = "46, 160, 67" if part > 0 else "218, 54, 51"
            style = f"background: rgba({colour}, {abs(part) / largest:.2f}); padding: 0 .15em"
            spans.append(f'<span style="{style}" title="{part:+.4f}">{escape(word)}</span>')
        return " ".join(spans)


def attribution(encoder: TextEncoder, text: str, like: str, steps: int = 64) -> TokenAttribution:
    """What each token of a text adds to its similarity (cosine) with another text.

    Args:
        encoder: an encoder whose network has the layer ``words`` first, as "minilm".
        text: the text whose tokens are looked at.
        like: the text that it is compared with.
        steps: number of points of the quadrature.

    Returns:
        A ``TokenAttribution``.

    Raises:
        ValueError: for a text without a word, or an encoder of another kind.

    References:
        Sundararajan et al. 2017, "Axiomatic attribution for deep networks", arXiv:1703.01365.
    """
    model = encoder.model
    words = getattr(model, "words", None)
    if not isinstance(model, nn.Sequential) or not isinstance(words, nn.Embedding):
        raise ValueError("attribution: the encoder's network has no layer `words`, an Embedding, at its beginning")
    found, wanted = encoder.tokens(text), encoder(like)[0]
    rest = list(model)[1:]

    def score(x: Any) -> Tensor:
        for layer in rest:
            x = layer(x)
        return _core.reshape(_core.matmul(x, wanted), (-1, 1))

    x = words(np.array([found.ids], np.int64)).detach()
    start = words(np.array([_blank(encoder, found.tokens)], np.int64)).detach()
    parts = saliency.integrated_gradients(score, x, 0, baseline=start, steps=steps)
    gap = float(saliency.completeness_gap(score, x, parts, 0, baseline=start)[0])
    with _core.no_grad():
        ends = [float(score(v)[0, 0]) for v in (x, start)]
    return TokenAttribution(found.tokens, np.asarray(parts)[0].sum(axis=-1).tolist(), ends[0], ends[1], gap)


def _blank(encoder: TextEncoder, tokens: list[str]) -> list[int]:
    """The numbers of tokens with [PAD] for every one that is not special."""
    known = encoder.tokenizer.vocabulary
    pad = known.get("[PAD]", 0)
    return [known[token] if token in encoder.tokenizer.specials else pad for token in tokens]
