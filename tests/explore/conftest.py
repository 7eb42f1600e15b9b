"""Fixtures of the tests of the page, one for each file: ``client``, requests to a server of the digits network, and
``opened``, a browser.
"""

from __future__ import annotations

import pytest
from browser import browser, needed
from explore_client import page


@pytest.fixture(scope="module")
def client():
    with page() as found:
        yield found


@pytest.fixture(scope="module")
def opened():
    needed()
    with browser() as found:
        yield found
