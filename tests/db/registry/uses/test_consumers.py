"""Which workspaces use which versions of the registry: what counts, what is replaced, and who is told of whom."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from terrapod_core.registry.uses.documents import Use
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.db.registry.modules.conftest import VPC
from tests.db.registry.providers.conftest import FAKE, Registry as Providers
from tests.db.registry.uses.conftest import SOURCE, Runs, uses
from tests.support.releases import Release
from tests.support.wire import document


async def test_a_run_that_was_applied_says_what_its_workspace_uses(runs: Runs) -> None:
    workspace = await runs.workspace("net")
    run = await runs.applied(workspace, uses("1.0.0", "1.1.0"))
    assert await runs.consumers() == [("1.1.0", workspace.id, run.id, False), ("1.0.0", workspace.id, run.id, False)]
    assert await runs.consumers(narrowed="?filter[version]=1.0.0,nonsense") == [("1.0.0", workspace.id, run.id, False)]
    shown = (await runs.ask("consumers?include=workspace,run&page[size]=1")).body
    assert shown["data"][0]["attributes"]["source"] == SOURCE
    assert shown["data"][0]["attributes"]["last-used-at"] is not None
    assert {each["id"] for each in shown["included"]} == {workspace.id, run.id}
    assert (shown["meta"]["pagination"]["total-count"], shown["meta"]["workspaces"]) == (2, {"total": 1, "hidden": 0})


async def test_each_run_puts_what_it_uses_in_the_place_of_what_was_used(runs: Runs) -> None:
    workspace, other = await runs.workspace("net"), await runs.workspace("other")
    await runs.applied(other, uses("1.0.0"))
    await runs.applied(workspace, uses("1.0.0"))
    second = await runs.applied(workspace, uses("1.1.0"))
    assert [each[:2] for each in await runs.consumers()] == [("1.1.0", workspace.id), ("1.0.0", other.id)]
    third = await runs.planned(workspace, uses("1.1.0"), has_changes=False)
    assert (await runs.consumers())[0] == ("1.1.0", workspace.id, third.id, False)
    assert third.id != second.id
    await runs.planned(workspace, uses(), has_changes=False)
    assert [each[1] for each in await runs.consumers()] == [other.id]


async def test_a_plan_alone_takes_away_nothing_that_is_in_force(runs: Runs) -> None:
    workspace = await runs.workspace("net")
    applied = await runs.applied(workspace, uses("1.0.0"))
    tried = await runs.planned(workspace, uses("1.1.0"), speculative=True)
    assert await runs.consumers() == [("1.1.0", workspace.id, tried.id, True), ("1.0.0", workspace.id, applied.id, False)]
    again = await runs.planned(workspace, uses("1.0.0"), speculative=True)
    assert await runs.consumers() == [("1.0.0", workspace.id, again.id, False)], "what another plan alone tried is over"
    await runs.applied(workspace, uses("1.1.0"), status="errored")
    assert [each[0] for each in await runs.consumers()] == ["1.1.0"], "an apply that failed has changed something, perhaps"


async def test_a_runner_that_does_not_know_changes_nothing(runs: Runs) -> None:
    workspace = await runs.workspace("net")
    first = await runs.applied(workspace, uses("1.0.0"))
    await runs.applied(workspace, None)
    assert await runs.consumers() == [("1.0.0", workspace.id, first.id, False)]


@pytest.mark.parametrize(
    "use",
    [
        Use("elsewhere.example.com/default/vpc/aws", "1.0.0"),
        Use("tfe.example.com:8443/default/vpc/aws", "1.0.0"),
        Use("tfe.example.com/default/vpc", "1.0.0"),
        Use("tfe.example.com/default/VPC/aws", "1.0.0"),
        Use("tfe.example.com", "1.0.0"),
        Use(SOURCE, "1.2.0"),
        Use(SOURCE, "1.9.0"),
        Use(SOURCE, "~> 1.0"),
    ],
    ids=str,
)
async def test_what_is_no_published_version_of_this_registry_is_passed_over(runs: Runs, use: Use) -> None:
    await runs.registry.version("1.9.0")
    await runs.applied(await runs.workspace("net"), msgspec.structs.replace(uses(), modules=[use]))
    assert await runs.consumers() == []


async def test_the_registry_is_known_by_its_host_however_it_is_written(runs: Runs) -> None:
    for at, source in enumerate(("TFE.example.com:443/default/vpc/aws", f"{SOURCE}//modules/subnet")):
        await runs.applied(await runs.workspace(f"net-{at}"), uses("1.0.0", source=source))
    assert len(await runs.consumers()) == 2


async def test_a_run_uses_only_what_those_may_read_who_answer_for_it(runs: Runs) -> None:
    await runs.registry.module("secret")
    path = VPC.replace("vpc", "secret")
    await runs.registry.publish("1.0.0", path=path)
    role = document("roles", name="bob-runs", workspace_permission="admin", allow_names=["net"])
    assert (await runs.registry.ask("root", "POST", "roles", role)).status == 201
    given = document("role-assignments", provider_name="local", email="bob@example.com", roles=["bob-runs"])
    assert (await runs.registry.ask("root", "PUT", "role-assignments", given)).status == 200
    workspace = await runs.workspace("net")
    await runs.as_("bob")
    await runs.planned(workspace, uses("1.0.0", source=SOURCE.replace("vpc", "secret")), speculative=True)
    assert await runs.consumers(path=path) == []
    await runs.planned(workspace, uses("1.0.0"), speculative=True)
    assert len(await runs.consumers()) == 1


async def test_workspaces_that_one_may_not_read_are_counted_and_not_named(runs: Runs) -> None:
    hidden, open_ = await runs.workspace("hidden"), await runs.workspace("open")
    await runs.registry.role("bob", "read", "open")
    for workspace in (hidden, open_):
        await runs.applied(workspace, uses("1.0.0", "1.1.0"))
    answer = await runs.ask("consumers?include=workspace,run", "bob")
    assert answer.body["meta"]["workspaces"] == {"total": 2, "hidden": 1}
    assert answer.body["meta"]["pagination"]["total-count"] == 2
    assert hidden.id not in str(answer.body)
    assert [each[1] for each in await runs.consumers("bob")] == [open_.id, open_.id]
    assert (await runs.ask("consumers", "carol")).body["data"] == []


async def test_who_may_not_read_the_module_is_told_nothing(runs: Runs) -> None:
    await runs.registry.module("secret")
    assert (await runs.ask("consumers", "bob", VPC.replace("vpc", "secret"))).status == 404
    assert (await runs.ask("consumers", "root", VPC.replace("vpc", "secret"))).status == 200


async def test_what_is_deleted_takes_its_rows_with_it(runs: Runs) -> None:
    workspace, other = await runs.workspace("net"), await runs.workspace("other")
    for each in (workspace, other):
        await runs.applied(each, uses("1.0.0", "1.1.0"))
    await runs.engine.terrapod.workspaces.delete(runs.engine.admin, workspace.id)
    assert (await runs.ask("consumers")).body["meta"]["workspaces"] == {"total": 2, "hidden": 1}
    await runs.engine.look()
    assert (await runs.ask("consumers")).body["meta"]["workspaces"] == {"total": 1, "hidden": 0}
    assert (await runs.registry.ask("root", "DELETE", f"{VPC}/1.1.0")).status == 204
    assert [each[:2] for each in await runs.consumers()] == [("1.0.0", other.id)]
    assert (await runs.registry.ask("root", "DELETE", VPC)).status == 204


async def test_providers_are_told_likewise(runs: Runs) -> None:
    providers = Providers(runs.registry.site)
    await providers.provider()
    await providers.unsigned(Release.made("fake", "1.0.0"))
    workspace = await runs.workspace("net")
    run = await runs.applied(workspace, uses("1.0.0", providers=[Use("tfe.example.com/default/fake", "1.0.0")]))
    assert await runs.consumers(path=FAKE) == [("1.0.0", workspace.id, run.id, False)]
    assert len(await runs.consumers()) == 1
    shown = (await runs.ask("consumers", path=FAKE)).body["data"][0]
    assert (shown["type"], shown["attributes"]["source"]) == ("registry-provider-consumers", "tfe.example.com/default/fake")


async def test_a_workspace_that_is_renamed_stays_a_consumer(runs: Runs) -> None:
    workspace = await runs.workspace("net")
    await runs.applied(workspace, uses("1.0.0"))
    await runs.engine.terrapod.workspaces.update(runs.engine.admin, workspace.id, UpdateWorkspace(name="renamed"))
    assert [each[1] for each in await runs.consumers()] == [workspace.id]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"modules": [{"source": SOURCE, "version": "1.0.0"}] * 1001}, "/uses/modules"),
        ({"modules": [{"source": SOURCE, "version": "1" * 129}]}, "/uses/modules/0/version"),
        ({"modules": [{"source": SOURCE + "x" * 500, "version": "1.0.0"}]}, "/uses/modules/0/source"),
        ({"modules": [{"source": "tfe.example.com/default/\u0000/aws", "version": "1.0.0"}]}, "/uses/modules/0/source"),
        ({"modules": [{"source": f"{SOURCE}\n", "version": "1.0.0"}]}, "/uses/modules/0/source"),
        ({"modules": [{"source": "tfe.example.com/default/\u202evpc/aws", "version": "1.0.0"}]}, "/uses/modules/0/source"),
        ({"modules": [{"source": SOURCE}]}, "/uses/modules/0/version"),
        ({"modules": {"source": SOURCE, "version": "1.0.0"}}, "/uses/modules"),
        ({"providers": [5]}, "/uses/providers/0"),
        ([], "/uses"),
    ],
)
async def test_a_report_that_says_too_much_is_refused_whole(runs: Runs, sent: Any, pointer: str) -> None:
    workspace = await runs.workspace("net")
    run = await runs.engine.run(workspace)
    await runs.engine.begin(run.run.plan_id)
    token = next(fake.spec.token for fake in runs.engine.backend.phases.values() if fake.spec.phase_id == run.run.plan_id)

    async def report(told: Any) -> tuple[int, Any]:
        response = await runs.engine.terrapod.app.test_client().post(
            f"/api/runner/v1/phases/{run.run.plan_id}/report",
            json={"status": "errored", "uses": told},
            headers={"Authorization": f"Bearer {token}"},
        )
        return response.status_code, await response.get_json()

    status, answer = await report(sent)
    assert (status, answer["errors"][0]["source"]["pointer"]) == (422, pointer)
    assert await runs.engine.status(run) == "planning"
    assert await runs.consumers() == []
    good = {"modules": [{"source": SOURCE, "version": "1.0.0", "more": "ignored"}], "others": []}
    assert await report(good) == (200, {})
    assert await runs.consumers() == [("1.0.0", workspace.id, run.id, True)]
    assert await report(good) == (200, {}), "a report may be repeated"
