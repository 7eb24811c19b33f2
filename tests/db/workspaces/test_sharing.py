from __future__ import annotations

import pytest
from sqlalchemy import select

from terrapod_core.errors import Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Query, Ref
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import UpdateWorkspace
from terrapod_core.workspaces.models import RemoteStateConsumer
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT, House


def ref(workspace: Workspace) -> Ref:
    return Ref("workspaces", workspace.id)


async def consumers(house: House, workspace: Workspace) -> list[str]:
    return [one.name for one in (await house.workspaces.sharing.list(ALICE, workspace.id, Query())).items]


async def test_consumers_are_added_replaced_and_removed(house: House) -> None:
    net, one, two = [await house.workspace(ALICE, name) for name in ("net", "one", "two")]
    assert await consumers(house, net) == []
    await house.workspaces.sharing.add(ALICE, net.id, [ref(one), ref(one)])
    await house.workspaces.sharing.add(ALICE, net.id, [ref(one)])
    assert await consumers(house, net) == ["one"]
    await house.workspaces.sharing.replace(ALICE, net.id, [ref(two)])
    assert await consumers(house, net) == ["two"]
    await house.workspaces.sharing.remove(ALICE, net.id, [ref(one), ref(two)])
    assert await consumers(house, net) == []


async def test_a_workspace_one_may_not_see_is_refused_as_one_that_is_not_there(house: House) -> None:
    net, bobs = await house.workspace(ALICE, "net"), await house.workspace(BOB, "bobs")
    for ident in (bobs.id, "ws-1111111111111111"):
        with pytest.raises(Invalid, match=f"there is no workspace {ident}, or you may not see it"):
            await house.workspaces.sharing.add(ALICE, net.id, [Ref("workspaces", ident)])


async def test_replacing_keeps_consumers_that_the_actor_cannot_see(house: House) -> None:
    net, one, bobs = await house.workspace(ALICE, "net"), await house.workspace(ALICE, "one"), await house.workspace(BOB, "bobs")
    await house.workspaces.sharing.add(ROOT, net.id, [ref(bobs)])
    await house.workspaces.sharing.replace(ALICE, net.id, [ref(one)])
    assert await shares(house, net, bobs)
    assert await shares(house, net, one)


async def test_global_state_needs_no_list_and_takes_none(house: House) -> None:
    net, one = await house.workspace(ALICE, "net"), await house.workspace(ALICE, "one")
    assert not await shares(house, net, one)
    await house.workspaces.update(ALICE, net.id, UpdateWorkspace(global_remote_state=True))
    assert await shares(house, net, one)
    assert await consumers(house, net) == ["one"]
    with pytest.raises(Invalid, match="global-remote-state"):
        await house.workspaces.sharing.add(ALICE, net.id, [ref(one)])


async def test_a_workspace_is_not_its_own_consumer(house: House) -> None:
    net = await house.workspace()
    with pytest.raises(Invalid):
        await house.workspaces.sharing.add(ALICE, net.id, [ref(net)])


async def test_only_the_providing_workspaces_admin_shares_its_state(house: House) -> None:
    net, one = await house.workspace(ALICE, "net"), await house.workspace(ALICE, "one")
    with pytest.raises(Forbidden):
        await house.workspaces.sharing.add(AUDITOR, net.id, [ref(one)])
    with pytest.raises(NotFound):
        await house.workspaces.sharing.list(BOB, net.id, Query())


async def test_a_deleted_workspace_shares_nothing(house: House) -> None:
    net, one = await house.workspace(ALICE, "net"), await house.workspace(ALICE, "one")
    await house.workspaces.sharing.add(ALICE, net.id, [ref(one)])
    await house.workspaces.delete(ALICE, net.id)
    assert await house.db.read(lambda session: session.execute(select(RemoteStateConsumer)).all()) == []


async def shares(house: House, provider: Workspace, consumer: Workspace) -> bool:
    found = await house.workspaces.sharing.list(ROOT, provider.id, Query())
    return consumer.id in {one.id for one in found.items}
