"""Text: tokenizers, sentence embeddings, and which words they depend on. Start reading at ``tokenizer.py``.

``encoder("minilm")`` maps sentences to vectors; ``attribution`` says what each token adds to a similarity. See
docs/text.md.
"""

from steep.text.attribution import TokenAttribution, attribution
from steep.text.encoder import TextEncoder, encoder
from steep.text.models import BPE, WordPiece
from steep.text.tokenizer import Encoding, Tokenizer

__all__ = ["BPE", "Encoding", "TextEncoder", "TokenAttribution", "Tokenizer", "WordPiece", "attribution", "encoder"]
