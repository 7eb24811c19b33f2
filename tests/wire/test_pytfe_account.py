"""HashiCorp's Python client on the account and the organization."""

from __future__ import annotations

import pytest
from pytfe import TFEClient, TFEConfig
from pytfe.errors import AuthError, NotFound
from pytfe.models import ReadRunQueueOptions

from tests.support.server import Server


def test_the_account(tfe: TFEClient, server: Server) -> None:
    me = tfe.users.read_current()
    assert (me.email, me.is_service_account, me.is_admin) == (server.email, False, True)
    assert tfe.users.read(me.id).username == me.username


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
