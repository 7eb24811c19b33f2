"""A body that is on its way for long is not let go on for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from terrapod_core.errors import Unauthorized
from terrapod_core.testing import FakeClock
from terrapod_core.web.bodies import attended


async def arriving(clock: FakeClock, *seconds: float) -> AsyncIterator[bytes]:
    """A piece after each of these pauses."""
    for number, pause in enumerate(seconds):
        clock.advance(seconds=pause)
        yield b"%d" % number


@pytest.mark.parametrize(
    ("pauses", "checks"), [((0, 10, 10, 9.9), 0), ((0, 30), 1), ((29, 1, 29, 1), 2), ((100, 0, 0), 1), ((31, 31, 31), 3), ((), 0)]
)
async def test_a_body_is_looked_at_again_every_half_minute(pauses: tuple[float, ...], checks: int) -> None:
    clock, asked = FakeClock(), 0

    async def check() -> None:
        nonlocal asked
        asked += 1

    got = [piece async for piece in attended(arriving(clock, *pauses), clock, check)]
    assert got == [b"%d" % number for number in range(len(pauses))]
    assert asked == checks


async def test_nothing_passes_after_a_refusal() -> None:
    clock, got = FakeClock(), []

    async def check() -> None:
        raise Unauthorized("not any more")

    with pytest.raises(Unauthorized):
        async for piece in attended(arriving(clock, 0, 5, 30, 0), clock, check):
            got.append(piece)  # noqa: PERF401 - what came before the refusal is what matters
    assert got == [b"0", b"1"]
