"""What a pool has to offer, told from its listeners."""

from __future__ import annotations

from terrapod_core.agents.standing import Standing, standing
from tests.db.agents.conftest import Site
from tests.support.wire import document


async def of(site: Site, *pool_ids: str) -> dict[str, Standing]:
    now = site.clock.now()
    return await site.terrapod.db.read(lambda session: standing(session, pool_ids, now))


async def test_a_pool_offers_what_its_listeners_that_are_heard_and_not_draining_take(site: Site) -> None:
    pool, other, empty = await site.pool(), await site.pool(name="other"), await site.pool(name="empty")
    first = await site.listener(pool, name="first", capacity=3)
    second = await site.listener(pool, name="second", capacity=4)
    await site.listener(other, capacity=2)
    joined = site.clock.now()
    assert await of(site, pool, other, empty, "apool-none") == {
        pool: Standing(2, 7, joined),
        other: Standing(1, 2, joined),
        empty: Standing(0, 0, None),
        "apool-none": Standing(0, 0, None),
    }
    assert await of(site) == {}
    await site.ask("root", "POST", f"listeners/{second.id}/actions/drain")
    assert (await of(site, pool))[pool] == Standing(1, 3, joined)
    site.clock.advance(seconds=61)
    assert (await of(site, pool))[pool] == Standing(0, 0, joined), "silence of a minute"
    heard = site.clock.now()
    assert (await site.say(first, sent=document("listeners", capacity=5))).status == 200
    assert (await of(site, pool))[pool] == Standing(1, 5, heard)
    await site.ask("root", "POST", f"listeners/{first.id}/actions/revoke")
    assert (await of(site, pool))[pool] == Standing(0, 0, heard)
