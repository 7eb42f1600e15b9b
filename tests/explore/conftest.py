"""Fixtures of the tests of the page: ``client``, requests to a server of the digits network, one for each file."""

from __future__ import annotations

import pytest
from explore_client import page


@pytest.fixture(scope="module")
def client():
    with page() as found:
        yield found
