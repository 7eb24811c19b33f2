"""The collector leaves alone what a server made at its start."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from terrapod_core.cli import startup


@pytest.fixture
def collector() -> Iterator[None]:
    """As it was, afterwards."""
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_nobody_looks_for_rubbish_in_what_is_made_at_the_start_nor_later() -> None:
    startup.begin()
    assert not gc.isenabled()
    made = [[number] for number in range(1000)]
    startup.done()
    assert gc.isenabled()
    assert not any(each is made for each in gc.get_objects())
