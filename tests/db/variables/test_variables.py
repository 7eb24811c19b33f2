from __future__ import annotations

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrapod_core.audit import AuditEntry
from terrapod_core.errors import Forbidden, Invalid, NotFound
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.secrets import SecretUnreadable
from terrapod_core.variables import EffectiveVariable
from terrapod_core.variables.documents import CreateVariable, UpdateVariable
from terrapod_core.variables.models import Category, Variable
from terrapod_core.variables.precedence import Origin, Tier
from terrapod_core.workspaces import Workspace
from tests.support.rooms import ALICE, AUDITOR, BOB, House


@pytest.fixture
async def workspace(house: House) -> Workspace:
    return await house.workspace()


def new(key: str = "region", value: str | None = "eu-west-1", category: str = "terraform", **more: object) -> CreateVariable:
    return CreateVariable(key=key, value=value, category=category, **more)  # type: ignore[arg-type]


async def test_a_variable_is_read_as_it_was_written(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new(description="where", hcl=True))
    found = await house.variables.read(ALICE, made.id, workspace.id)
    assert found == made
    assert (found.key, found.value, found.category, found.hcl, found.sensitive) == ("region", "eu-west-1", "terraform", True, False)


async def test_a_sensitive_value_is_never_read_again_and_no_value_lies_in_the_database(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new(value="hunter2-planted", sensitive=True))
    plain = await house.variables.create(ALICE, workspace.id, new("other", "visible-planted"))
    assert made.value is None
    assert [one.value for one in await house.variables.list(ALICE, workspace.id)] == ["visible-planted", None]
    assert plain.value == "visible-planted"

    def stored(session: Session) -> bytes:
        sealed = b"".join(row.value_sealed for row in session.execute(select(Variable)).scalars())
        return sealed + repr([row.detail for row in session.execute(select(AuditEntry)).scalars()]).encode()

    assert b"planted" not in await house.db.read(stored)


async def test_a_value_moved_to_another_row_cannot_be_read(house: House, workspace: Workspace) -> None:
    one = await house.variables.create(ALICE, workspace.id, new("one", "1"))
    two = await house.variables.create(ALICE, workspace.id, new("two", "2"))
    async with house.db.uow() as uow:
        rows = {row.id: row for row in (await uow.session.execute(select(Variable))).scalars()}
        rows[one.id].value_sealed, rows[two.id].value_sealed = rows[two.id].value_sealed, rows[one.id].value_sealed
        await uow.commit()
    with pytest.raises(SecretUnreadable):
        await house.variables.read(ALICE, one.id)


async def test_a_key_is_new_in_its_category_and_workspace(house: House, workspace: Workspace) -> None:
    await house.variables.create(ALICE, workspace.id, new())
    with pytest.raises(Invalid, match="Key has already been taken") as refused:
        await house.variables.create(ALICE, workspace.id, new())
    assert refused.value.problems[0].pointer == "/data/attributes/key"
    await house.variables.create(ALICE, workspace.id, new(category="env"))
    other = await house.workspace(ALICE, "other")
    await house.variables.create(ALICE, other.id, new())
    third = await house.variables.create(ALICE, workspace.id, new("third"))
    with pytest.raises(Invalid, match="Key has already been taken"):
        await house.variables.update(ALICE, third.id, UpdateVariable(key="region"))


async def test_an_update_changes_what_was_sent_and_the_version_with_it(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new(description="where"))
    changed = await house.variables.update(ALICE, made.id, UpdateVariable(value="eu-north-1"), workspace.id)
    assert (changed.key, changed.value, changed.description) == ("region", "eu-north-1", "where")
    assert changed.version_id != made.version_id
    cleared = await house.variables.update(ALICE, made.id, UpdateVariable(value=None, description=None))
    assert (cleared.value, cleared.description) == ("", None)


async def test_of_a_sensitive_variable_only_value_and_description_change(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new(value="s3cret-one", sensitive=True))
    for refused in (UpdateVariable(sensitive=False), UpdateVariable(key="other"), UpdateVariable(category="env"), UpdateVariable(hcl=True)):
        with pytest.raises(Invalid):
            await house.variables.update(ALICE, made.id, refused)
    same = UpdateVariable(key="region", category="terraform", hcl=False, sensitive=True, value=None, description="x")
    kept = await house.variables.update(ALICE, made.id, same)
    assert (kept.description, kept.version_id == made.version_id) == ("x", False)
    assert [one.value for one in await effective(house, workspace)] == ["s3cret-one"]
    await house.variables.update(ALICE, made.id, UpdateVariable(value="s3cret-two"))
    assert [one.value for one in await effective(house, workspace)] == ["s3cret-two"]


async def test_a_variable_becomes_sensitive_and_keeps_its_value(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new())
    assert (await house.variables.update(ALICE, made.id, UpdateVariable(sensitive=True))).value is None
    assert [one.value for one in await effective(house, workspace)] == ["eu-west-1"]


async def test_a_variable_is_found_only_under_its_own_workspace(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new())
    other = await house.workspace(ALICE, "other")
    with pytest.raises(NotFound):
        await house.variables.read(ALICE, made.id, other.id)
    with pytest.raises(NotFound):
        await house.variables.update(ALICE, made.id, UpdateVariable(value="x"), other.id)
    with pytest.raises(NotFound):
        await house.variables.delete(ALICE, made.id, other.id)


async def test_readers_read_writers_write_and_strangers_find_nothing(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new())
    assert (await house.variables.list(AUDITOR, workspace.id))[0].value == "eu-west-1"
    with pytest.raises(Forbidden):
        await house.variables.create(AUDITOR, workspace.id, new("x"))
    with pytest.raises(Forbidden):
        await house.variables.delete(AUDITOR, made.id)
    for refused in (house.variables.list(BOB, workspace.id), house.variables.read(BOB, made.id), house.variables.list_named(BOB, "net")):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(NotFound):
        await house.variables.list_named(ALICE, "never")


async def test_the_environment_takes_no_expressions(house: House, workspace: Workspace) -> None:
    with pytest.raises(Invalid, match="environment variable is text"):
        await house.variables.create(ALICE, workspace.id, new(category="env", hcl=True))
    made = await house.variables.create(ALICE, workspace.id, new(hcl=True))
    with pytest.raises(Invalid, match="environment variable is text"):
        await house.variables.update(ALICE, made.id, UpdateVariable(category="env"))
    await house.variables.update(ALICE, made.id, UpdateVariable(category="env", hcl=False))


async def test_a_deleted_variable_is_gone_and_its_key_is_free(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new())
    await house.variables.delete(ALICE, made.id, workspace.id)
    with pytest.raises(NotFound):
        await house.variables.read(ALICE, made.id)
    await house.variables.create(ALICE, workspace.id, new())
    actions = [action for action, _ in await house.audited()]
    assert actions == ["workspace.create", "variable.create", "variable.delete", "variable.create"]


async def test_a_run_gets_every_value_as_it_was_written(house: House, workspace: Workspace) -> None:
    await house.variables.create(ALICE, workspace.id, new("list", '["a"]', hcl=True))
    await house.variables.create(ALICE, workspace.id, new("TOKEN", "s3cret", "env", sensitive=True))
    await house.variables.create(ALICE, (await house.workspace(ALICE, "other")).id, new("theirs"))
    own = Origin(Tier.WORKSPACE, "net")
    assert await effective(house, workspace) == [
        EffectiveVariable("TOKEN", "s3cret", Category.ENV, hcl=False, sensitive=True, origin=own),
        EffectiveVariable("list", '["a"]', Category.TERRAFORM, hcl=True, sensitive=False, origin=own),
    ]


async def test_a_deleted_workspaces_secrets_do_not_wait_to_be_purged(house: House, workspace: Workspace) -> None:
    made = await house.variables.create(ALICE, workspace.id, new(sensitive=True))
    await house.workspaces.delete(ALICE, workspace.id)
    with pytest.raises(NotFound):
        await house.variables.read(ALICE, made.id)
    for _ in range(2):
        await house.variables.forget(WorkspaceDeleted(workspace_id=workspace.id))
    assert await house.db.read(lambda session: session.execute(select(func.count()).select_from(Variable)).scalar_one()) == 0


async def effective(house: House, workspace: Workspace) -> list[EffectiveVariable]:
    return list(await house.db.read(lambda session: house.variables.effective(session, workspace)))
