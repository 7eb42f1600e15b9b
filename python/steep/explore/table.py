"""The kinds of heavy work that the page may ask for, by name."""

from __future__ import annotations

from collections.abc import Callable

from steep.explore.asked import Asked
from steep.explore.attribution import attributions
from steep.explore.breaking import attacks
from steep.explore.climb import climb
from steep.explore.desk import Desk
from steep.explore.flip import book
from steep.explore.jobs import Job
from steep.explore.unit import examples, maps

WORK: dict[str, Callable[[Desk, Job, Asked], None]] = {
    "climb": climb,
    "maps": maps,
    "examples": examples,
    "saliency": attributions,
    "attack": attacks,
    "book": book,
}
