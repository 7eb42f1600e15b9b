"""Compiled steps: a function is recorded once, and replayed in C++ for as long as what it depends on is unchanged.

``compiled`` records and replays; ``reach`` finds what a function depends on beside its arguments, from the names that
``code`` reads in it; ``gradient`` differentiates compiled functions; ``active`` is what optimisers tell a recording.
The rule, in one sentence, and what it does not cover are in docs/performance.md.
"""

from steep.compiling.compiled import compile as compile
