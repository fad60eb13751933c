"""One real server of three tiny models for the tests of this package."""

import pytest
from witness_server import serving


@pytest.fixture(scope="session")
def witnesses(tiny_witnesses):
    with serving(tiny_witnesses) as running:
        yield running
