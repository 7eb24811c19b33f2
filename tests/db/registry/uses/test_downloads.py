"""Counts of downloads: what counts, for whom, who is told, and that none is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from terrapod_core.errors import Unavailable
from terrapod_core.registry.uses import downloads
from terrapod_core.registry.uses.kinds import MODULES
from tests.db.agents.conftest import URL
from tests.db.registry.modules.conftest import VPC
from tests.db.registry.providers.conftest import FAKE, Registry as Providers
from tests.db.registry.uses.conftest import Runs
from tests.support.releases import Release


async def told(runs: Runs, who: str = "root", path: str = VPC, narrowed: str = "") -> list[tuple[Any, ...]]:
    """Version, by what, how often, and the token's description."""
    answer = await runs.ask(f"downloads{narrowed}", who, path)
    assert answer.status == 200, answer
    shown = (each["attributes"] for each in answer.body["data"])
    return [(each["version"], each["by"], each["count"], each["token-description"]) for each in shown]


async def counts(runs: Runs, path: str = f"{VPC}/versions") -> dict[str, int]:
    """What every reader sees on the versions."""
    shown = (await runs.registry.ask("bob", "GET", path)).body["data"]
    return {each["attributes"]["version"]: each["attributes"]["download-count"] for each in shown}


async def test_a_download_is_counted_for_the_token_that_was_given_the_link(runs: Runs) -> None:
    for who, version, times in (("bob", "1.0.0", 2), ("carol", "1.0.0", 1), ("bob", "1.1.0", 1)):
        link = await runs.link(who, version)
        for _ in range(times):
            assert await runs.follow(link) == 200
    assert await counts(runs) == {"1.1.0": 0, "1.0.0": 0}
    await runs.engine.terrapod.downloads.flush()
    assert await counts(runs) == {"1.1.0": 1, "1.0.0": 3}
    assert await told(runs) == [("1.0.0", "token", 2, "bob"), ("1.1.0", "token", 1, "bob"), ("1.0.0", "token", 1, "carol")]
    assert await told(runs, narrowed="?filter[version]=1.1.0") == [("1.1.0", "token", 1, "bob")]
    shown = (await runs.ask("downloads?page[size]=1")).body
    assert shown["meta"]["downloads"] == {"total": 4, "hidden": 0}
    assert shown["meta"]["pagination"]["total-count"] == 3
    assert shown["data"][0]["relationships"]["user"]["data"]["id"] == await runs.registry.user("bob")
    assert runs.registry.site.tokens["bob"] not in str(shown)
    client, bearer = runs.registry.site.terrapod.app.test_client(), {"Authorization": f"Bearer {runs.registry.site.tokens['bob']}"}
    described = await (await client.get("/api/registry/v1/modules/default/vpc/aws", headers=bearer)).get_json()
    assert (described["downloads"], described["versions"]) == (4, ["1.1.0", "1.0.0"])
    await runs.follow(await runs.link("bob"))
    await runs.engine.terrapod.downloads.flush()
    assert (await counts(runs))["1.0.0"] == 4, "counts are added to those that are there"
    assert (await told(runs))[0] == ("1.0.0", "token", 3, "bob")


async def test_only_what_begins_a_download_counts(runs: Runs) -> None:
    link = await runs.link("bob")
    tag = f'"{(await runs.registry.ask("bob", "GET", f"{VPC}/1.0.0")).attributes["sha256"]}"'
    assert await runs.follow(link, "head") == 200
    assert await runs.follow(link, **{"If-None-Match": tag}) == 304
    assert await runs.follow(link, Range="bytes=10-20") == 206
    assert await runs.follow(link, Range="bytes=99999999-") == 416
    await runs.link("carol")
    await runs.engine.terrapod.downloads.flush()
    assert (await counts(runs))["1.0.0"] == 0
    assert await runs.follow(link, Range="bytes=0-5") == 206
    await runs.engine.terrapod.downloads.flush()
    assert (await counts(runs))["1.0.0"] == 1


async def test_downloads_of_runs_are_told_by_workspace_and_hidden_ones_summed(runs: Runs) -> None:
    workspace, hidden = await runs.workspace("open"), await runs.workspace("hidden")
    for at, each in enumerate((workspace, hidden)):
        run = await runs.engine.run(each)
        claim = await runs.engine.begin(run.run.plan_id)
        token = runs.engine.terrapod.phase_tokens.issue_engine(claim)
        link = await runs.link(token)
        for _ in range(at + 1):
            assert await runs.follow(link) == 200
    await runs.engine.terrapod.downloads.flush()
    shown = (await runs.ask("downloads")).body["data"]
    assert [(each["attributes"]["by"], each["attributes"]["count"]) for each in shown] == [("run", 2), ("run", 1)]
    assert shown[1]["relationships"]["workspace"]["data"]["id"] == workspace.id
    await runs.registry.role("bob", "admin", "vpc", "open")
    answer = await runs.ask("downloads", "bob")
    assert [each["relationships"]["workspace"]["data"]["id"] for each in answer.body["data"]] == [workspace.id]
    assert answer.body["meta"]["downloads"] == {"total": 3, "hidden": 2}
    assert hidden.id not in str(answer.body)


async def test_who_reads_sees_totals_and_who_administers_sees_by_whom(runs: Runs) -> None:
    assert (await runs.ask("downloads", "bob")).status == 403
    await runs.registry.module("secret")
    assert (await runs.ask("downloads", "bob", VPC.replace("vpc", "secret"))).status == 404


async def test_zips_of_providers_are_counted_and_links_of_the_management_api_as_others(runs: Runs) -> None:
    providers = Providers(runs.registry.site)
    await providers.provider(labels={"access": "everyone"})
    await providers.unsigned(Release.made("fake", "1.0.0"))
    package = (await providers.found("1.0.0", who="bob")).body
    for link, times in ((package["download_url"], 2), (package["shasums_url"], 1), (package["shasums_signature_url"], 1)):
        for _ in range(times):
            assert (await providers.get(link))[0] == 200
    platforms = await runs.registry.ask("bob", "GET", f"{FAKE}/versions/1.0.0/platforms/linux/amd64")
    assert (await providers.get(platforms.body["data"]["links"]["provider-binary-download"]))[0] == 200
    await runs.engine.terrapod.downloads.flush()
    assert await counts(runs, f"{FAKE}/versions") == {"1.0.0": 3}
    assert await told(runs, path=FAKE) == [("1.0.0", "token", 2, "bob"), ("1.0.0", "other", 1, None)]
    assert package["download_url"].startswith(URL)


async def test_counts_wait_for_the_database_and_a_stop_writes_the_last(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = runs.engine.terrapod.downloads
    await runs.follow(await runs.link("bob"))
    with monkeypatch.context() as broken:
        broken.setattr(downloads, "_write", _away)
        with pytest.raises(Unavailable):
            await counter.flush()
        await runs.follow(await runs.link("bob"))
    counter.start()
    await runs.follow(await runs.link("bob"))
    await counter.stop()
    assert (await counts(runs))["1.0.0"] == 3
    assert await told(runs) == [("1.0.0", "token", 3, "bob")]


def _away(*_: Any, **__: Any) -> None:
    raise Unavailable("the database does not answer")


async def test_processes_that_count_at_once_lose_nothing(runs: Runs) -> None:
    version = (await runs.registry.ask("root", "GET", f"{VPC}/1.0.0")).id
    processes = [downloads.Downloads(runs.engine.terrapod.db) for _ in range(4)]
    for _ in range(3):
        for process in processes:
            process.count(MODULES, version, "ws-1")
            process.count(MODULES, version, "")
        await asyncio.gather(*(process.flush() for process in processes))
    assert (await counts(runs))["1.0.0"] == 24
    assert (await runs.ask("downloads")).body["meta"]["downloads"] == {"total": 24, "hidden": 12}


async def test_a_version_that_was_deleted_meanwhile_holds_up_no_other(runs: Runs) -> None:
    first, second = await runs.link("bob", "1.0.0"), await runs.link("bob", "1.1.0")
    assert await runs.follow(first) == await runs.follow(second) == 200
    assert (await runs.registry.ask("root", "DELETE", f"{VPC}/1.0.0")).status == 204
    await runs.engine.terrapod.downloads.flush()
    assert await counts(runs) == {"1.1.0": 1}


async def test_what_waits_is_bounded(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MOST", 1)
    version = (await runs.registry.ask("root", "GET", f"{VPC}/1.0.0")).id
    counter = runs.engine.terrapod.downloads
    for subject in ("ws-1", "ws-2", "ws-3", "ws-1"):
        counter.count(MODULES, version, subject)
    await counter.flush()
    assert (await counts(runs))["1.0.0"] == 4
