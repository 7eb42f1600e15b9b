"""What tests of networks with weights share: fetching, which not every machine can."""

from __future__ import annotations

import pytest
import steep as sp


@pytest.fixture(scope="session")
def fetched():
    """Calls a function that fetches, and skips the test where its files cannot be had."""

    def call(function, *arguments, **options):
        try:
            return function(*arguments, **options)
        except sp.data.FetchError as error:
            pytest.skip(str(error))

    return call
