"""HashiCorp's Python client on the account and the organization."""

from __future__ import annotations

from contextlib import closing

import pytest
from pytfe import TFEClient, TFEConfig
from pytfe.errors import AuthError, NotFound
from pytfe.models import ReadRunQueueOptions
from pytfe.models.admin_user import AdminUserListOptions
from pytfe.models.user import UserUpdateCurrentOptions

from tests.support import wire
from tests.support.server import Server


def test_the_account(tfe: TFEClient, server: Server) -> None:
    me = tfe.users.read_current()
    assert (me.email, me.is_service_account, me.is_admin) == (server.email, False, True)
    assert tfe.users.read(me.id).username == me.username


def test_an_own_token_is_read_and_revoked_by_its_id(tfe: TFEClient, server: Server) -> None:
    sent = wire.document("authentication-tokens", description="of pytfe", permission="read")
    made = wire.data(server.api.post("authentication-tokens", json=sent), 201)
    read = tfe.team_tokens.read_by_id(made["id"])
    assert (read.id, read.description, read.token) == (made["id"], "of pytfe", None)
    tfe.team_tokens.delete_by_id(made["id"])
    with pytest.raises(NotFound):
        tfe.team_tokens.read_by_id(made["id"])


def test_organizations_and_teams_have_no_tokens(tfe: TFEClient) -> None:
    with pytest.raises(NotFound, match="service account"):
        tfe.organization_tokens.read("default")
    with pytest.raises(NotFound, match="service account"):
        tfe.organization_tokens.create("default")
    with pytest.raises(NotFound, match="service account"):
        tfe.team_tokens.read("team-1111111111111111")


def test_administering_users(tfe: TFEClient, server: Server) -> None:
    person = wire.make_person(server, "pytfe")
    with closing(person.api):
        users = tfe.admin.users
        found = list(users.list(AdminUserListOptions(query=person.email, suspended=False)))
        assert [(one.id, one.is_admin) for one in found] == [(person.id, False)]
        assert users.read(person.id).email == person.email
        assert users.suspend(person.id).is_suspended
        wire.refused(person.api.get("account/details"), 401)
        assert not users.unsuspend(person.id).is_suspended
        assert users.grant_admin(person.id).is_admin
        assert person.id in {one.id for one in users.list(AdminUserListOptions(administrators=True))}
        assert not users.revoke_admin(person.id).is_admin
        users.delete(person.id)
    with pytest.raises(NotFound):
        users.read(person.id)


def test_the_own_name(server: Server) -> None:
    person = wire.make_person(server, "renamed")
    with closing(person.api), TFEClient(TFEConfig(address=server.url, token=person.token, max_retries=0, ca_bundle=None)) as client:
        changed = client.users.update_current(UserUpdateCurrentOptions(username="Re Named"))
        assert (changed.id, changed.username) == (person.id, "Re Named")


def test_the_organization(tfe: TFEClient) -> None:
    found = tfe.organizations.read("default")
    assert (found.id, found.name) == ("default", "default")
    assert [one.name for one in tfe.organizations.list()] == ["default"]
    entitled = tfe.organizations.read_entitlements("default")
    assert entitled.operations
    assert entitled.state_storage
    capacity = tfe.organizations.read_capacity("default")
    assert capacity.organization == "default"
    queue = tfe.organizations.read_run_queue("default", ReadRunQueueOptions(page_number=1, page_size=5))
    assert queue.pagination is not None
    assert queue.pagination.total_count >= len(queue.items)


def test_a_wrong_token_and_another_organization(tfe: TFEClient, server: Server) -> None:
    with TFEClient(TFEConfig(address=server.url, token="nonsense", max_retries=0, ca_bundle=None)) as stranger, pytest.raises(AuthError):
        stranger.users.read_current()
    with pytest.raises(NotFound):
        tfe.organizations.read("other")
    with pytest.raises(NotFound):
        tfe.organizations.read_entitlements("other")
