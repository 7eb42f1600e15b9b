"""HTML pages: ``html`` has the parts that the pages of all commands share, ``page`` writes the flip-book of a graph.

A flip-book is data first (``flipbook.flipbook_data``); the script ``flipbook.js`` shows that data on any page.
"""

from __future__ import annotations

from steep.report.flipbook import page as page
