"""A configuration that prints far more than a log may hold. `nox -s faults -- flood` is the same with 10 GiB."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.flood import SETTINGS, MiB, flood
from tests.support.gate import Gate
from tests.support.server import Server


@pytest.mark.long
def test_a_run_that_prints_without_end_fills_its_log_and_neither_memory_nor_disk_and_holds_nobody_up(
    new_server: Callable[..., Server], engines: dict[str, str], gate: Gate
) -> None:
    server = new_server(settings=engines | SETTINGS).start()
    figures = flood(server, gate, 200 * MiB, seconds=300)
    assert figures.problems() == [], str(figures)
