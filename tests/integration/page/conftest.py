"""A gateway with a page, before an engine that answers from a script, and a browser to look at it with."""

from pathlib import Path

import pytest
from chromium import browser, find_chromium
from page_driver import draw_photo
from place_engine import Script, checkpoint_with_radius, place_engine, running_gateway


@pytest.fixture(scope="session")
def tab(tmp_path_factory):
    if find_chromium() is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    return checkpoint_with_radius(tmp_path_factory.mktemp("checkpoint") / "m")


@pytest.fixture(scope="session")
def running(checkpoint):
    """The engine's script and the gateway's address."""
    with place_engine() as script, running_gateway(engine_url=script.url, checkpoint=checkpoint) as url:
        yield script, url


@pytest.fixture
def site(running) -> tuple[Script, str]:
    """The same, with what the script says at first."""
    running[0].begin()
    return running


@pytest.fixture(scope="session")
def photo(tmp_path_factory) -> Path:
    return draw_photo(tmp_path_factory.mktemp("photo") / "photo.jpg")
