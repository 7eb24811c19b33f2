"""The zoo of archives at the door: each is refused with its reason, nothing of it is listed or kept, and the right one is taken."""

from __future__ import annotations

import msgspec
import pytest

from terrapod_core.storage.discards import remove_discarded
from tests.db.agents.conftest import URL
from tests.db.registry.modules.conftest import VPC, Registry
from tests.support.zoo import zoo


@pytest.mark.slow
async def test_nothing_of_the_zoo_is_published_and_the_version_waits_for_a_right_archive(registry: Registry) -> None:
    await registry.module()
    made = await registry.version("1.0.0")
    link = made.body["data"]["links"]["upload"].removeprefix(URL)
    client = registry.site.terrapod.app.test_client()
    for name, (content, says) in zoo().items():
        response = await client.put(link, data=content)
        [error] = msgspec.json.decode(await response.get_data(as_text=False))["errors"]
        assert (name, response.status_code, error["code"]) == (name, 422, "bad_archive")
        assert says in error["detail"], name
    assert await registry.listed() == []
    shown = await registry.ask("root", "GET", f"{VPC}/1.0.0")
    assert (shown.attributes["status"], shown.attributes["size"]) == ("pending", None)
    await remove_discarded(registry.site.terrapod.db, registry.site.terrapod.objects)
    assert await registry.rows() == (1, 1, 0)
    assert await registry.put(made) == 200
    assert await registry.listed() == ["1.0.0"]
