"""Makes mkdocstrings understand the docstrings of steep: an extension of griffe, which reads them.

steep writes ``Example:``; griffe knows ``Examples:``, and would show the other as a box of text. ``mkdocs.yml`` names
this file. Start reading at ``adapted``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


def adapted(text: str) -> str:
    """The docstring with the names of sections that griffe knows."""
    return re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)


class Docstrings(griffe.Extension):
    """Changes every docstring as it is read."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = adapted(obj.docstring.value)
