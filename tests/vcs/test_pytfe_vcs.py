"""HashiCorp's Python client on OAuth clients and tokens, app installations, and what follows repositories by them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytfe import TFEClient, TFEConfig
from pytfe.errors import NotFound, TFEError
from pytfe.models import (
    Project,
    ProjectCreateOptions,
    RegistryModuleID,
    RegistryModuleUpdateOptions,
    WorkspaceCreateOptions,
    WorkspaceUpdateOptions,
)
from pytfe.models.github_app_installation import GitHubAppInstallationListOptions
from pytfe.models.oauth_client import (
    OAuthClient,
    OAuthClientAddProjectsOptions,
    OAuthClientCreateOptions,
    OAuthClientIncludeOpt,
    OAuthClientListOptions,
    OAuthClientReadOptions,
    OAuthClientRemoveProjectsOptions,
    OAuthClientUpdateOptions,
    ServiceProviderType,
)
from pytfe.models.oauth_token import OAuthTokenListOptions, OAuthTokenUpdateOptions
from pytfe.models.registry_module import (
    PublishingMechanism,
    RegistryModuleCreateWithVCSConnectionOptions,
    RegistryModuleVCSRepoOptions,
    RegistryModuleVCSRepoUpdateOptions,
    RegistryModuleVersionStatus,
)
from pytfe.models.workspace import VCSRepoOptions

from tests.support.followed import Followed
from tests.support.github_routes import INSTALLATION
from tests.support.waiting import until
from tests.support.wire import fresh

WORDS = {"github": ServiceProviderType.GITHUB_EE, "gitlab": ServiceProviderType.GITLAB_CE}


@pytest.fixture(scope="module")
def tfe(site: Followed) -> Iterator[TFEClient]:
    """The client, as the admin. It retries nothing."""
    with TFEClient(TFEConfig(address=site.server.url, token=site.server.token, max_retries=0, ca_bundle=None)) as client:
        yield client


def wanted(site: Followed, **more: object) -> OAuthClientCreateOptions:
    """What makes a client."""
    api = f"{site.forge.url}/api/{'v3' if site.kind.name == 'github' else 'v4'}"
    sent = {"name": fresh("client"), "http_url": site.forge.url, "api_url": api, "oauth_token": "forge-token"}
    return OAuthClientCreateOptions.model_validate({**sent, "service_provider": WORDS[site.kind.name], **more})


@pytest.fixture
def client(site: Followed, tfe: TFEClient) -> OAuthClient:
    """A client of the test's own."""
    return tfe.oauth_clients.create("default", wanted(site))


def token_of(client: OAuthClient) -> str:
    """The id of its token."""
    assert client.oauth_tokens is not None
    return str(client.oauth_tokens[0]["id"])


def test_create_read_list_update_and_delete(site: Followed, tfe: TFEClient, client: OAuthClient) -> None:
    assert client.id is not None
    read = tfe.oauth_clients.read(client.id)
    assert (read.name, read.service_provider, read.organization_scoped) == (client.name, WORDS[site.kind.name], True)
    assert (read.http_url, read.api_url) == (site.forge.url, wanted(site).api_url)
    assert (read.key, read.secret, read.created_at is not None) == (None, None, True)
    listed = list(tfe.oauth_clients.list("default", OAuthClientListOptions(page_size=100, include=[OAuthClientIncludeOpt.OAUTH_TOKENS])))
    assert client.id in [each.id for each in listed]
    renamed = tfe.oauth_clients.update(client.id, OAuthClientUpdateOptions(name=fresh("renamed")))
    assert renamed.name != client.name
    tfe.oauth_clients.delete(client.id)
    with pytest.raises(NotFound):
        tfe.oauth_clients.read(client.id)


def test_a_client_brings_its_token_and_its_projects_along(site: Followed, tfe: TFEClient) -> None:
    project = tfe.projects.create("default", ProjectCreateOptions(name=fresh("project")))
    made = tfe.oauth_clients.create(
        "default", wanted(site, organization_scoped=False, projects=[{"type": "projects", "id": project.id}], name=None)
    )
    assert (made.organization_scoped, [each["id"] for each in made.projects or []]) == (False, [project.id])
    assert made.name
    assert made.id is not None
    response = tfe.oauth_clients.t.request("GET", f"/api/v2/oauth-clients/{made.id}", params={"include": "oauth_tokens,projects"})
    assert {each["type"] for each in response.json()["included"]} == {"oauth-tokens", "projects"}
    assert tfe.oauth_clients.read_with_options(made.id, OAuthClientReadOptions(include=[OAuthClientIncludeOpt.PROJECTS])).id == made.id


def test_projects_are_added_and_removed(site: Followed, tfe: TFEClient) -> None:
    made = tfe.oauth_clients.create("default", wanted(site, organization_scoped=False))
    assert made.id is not None
    project = tfe.projects.create("default", ProjectCreateOptions(name=fresh("project")))
    named = [{"type": "projects", "id": project.id}]
    repo = site.repository()

    def workspace() -> WorkspaceCreateOptions:
        linked = VCSRepoOptions(identifier=repo.path, oauth_token_id=token_of(made))
        return WorkspaceCreateOptions(name=fresh(), project=Project(id=project.id), vcs_repo=linked)

    with pytest.raises(TFEError) as refused:
        tfe.workspaces.create("default", workspace())
    assert refused.value.status == 403
    tfe.oauth_clients.add_projects(made.id, OAuthClientAddProjectsOptions(projects=named))
    assert [each["id"] for each in tfe.oauth_clients.read(made.id).projects or []] == [project.id]
    assert tfe.workspaces.create("default", workspace()).id
    tfe.oauth_clients.remove_projects(made.id, OAuthClientRemoveProjectsOptions(projects=named))
    assert tfe.oauth_clients.read(made.id).projects == []
    with pytest.raises(TFEError):
        tfe.workspaces.create("default", workspace())
    with pytest.raises(TFEError) as unknown:
        tfe.oauth_clients.add_projects(made.id, OAuthClientAddProjectsOptions(projects=[{"type": "projects", "id": "prj-none"}]))
    assert unknown.value.status == 422


def test_a_token_is_rotated_when_the_forge_takes_it(site: Followed, tfe: TFEClient, client: OAuthClient) -> None:
    assert client.id is not None
    with pytest.raises(TFEError) as refused:
        tfe.oauth_clients.update(client.id, OAuthClientUpdateOptions(oauth_token="unknown-to-the-forge"))
    assert refused.value.status == 422
    site.forge.tokens.add("rotated-token")
    assert tfe.oauth_clients.update(client.id, OAuthClientUpdateOptions(oauth_token="rotated-token")).id == client.id
    assert "rotated-token" in [each.token for each in site.forge.asked]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"service_provider": ServiceProviderType.BITBUCKET_HOSTED}, "must be one that this server has a plugin for"),
        ({"api_url": "https://elsewhere.example.com/api"}, "follows from http-url"),
        ({"oauth_token": "unknown-to-the-forge"}, ""),
        ({"agent_pool": {"type": "agent-pools", "id": "apool-1"}}, "not by agents"),
    ],
)
def test_what_makes_no_client_is_refused_in_words(site: Followed, tfe: TFEClient, more: dict[str, object], told: str) -> None:
    with pytest.raises(TFEError) as refused:
        tfe.oauth_clients.create("default", wanted(site, **more))
    assert refused.value.status == 422
    assert told in str(refused.value)


def test_a_key_and_a_secret_are_not_exchanged_for_a_token(site: Followed) -> None:
    sent = {"service-provider": site.kind.name if site.kind.name == "github" else "gitlab_hosted", "key": "id", "secret": "text"}
    answer = site.server.api.post("organizations/default/oauth-clients", json={"data": {"type": "oauth-clients", "attributes": sent}})
    assert answer.status_code == 422
    assert "oauth-token-string is needed" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"http-url": "nonsense"}, "/data/attributes/http-url"),
        ({"http-url": 5}, "/data/attributes/http-url"),
        ({"oauth-token-string": ["forge-token"]}, "/data/attributes/oauth-token-string"),
        ({"api-url": {"a": "b"}}, "/data/attributes/api-url"),
        ({"http-url": None, "api-url": "https://git.example.com/api/v4"}, "/data/attributes/api-url"),
        ({"name": "*"}, "/data/attributes/name"),
        ({"service-provider": ["github"]}, "/data/attributes/service-provider"),
        ({"organization-scoped": "no"}, "/data/attributes/organization-scoped"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_sent(site: Followed, sent: dict[str, object], pointer: str) -> None:
    good = wanted(site).model_dump(mode="json", exclude_none=True, by_alias=True)
    body = {"data": {"type": "oauth-clients", "attributes": {**good, **sent}, "relationships": {"agent-pool": "nonsense", "projects": []}}}
    answer = site.server.api.post("organizations/default/oauth-clients", json=body)
    assert answer.status_code == 422, answer.text
    assert pointer in [each["source"]["pointer"] for each in answer.json()["errors"]]


def test_tokens_are_listed_read_and_deleted(tfe: TFEClient, client: OAuthClient) -> None:
    token_id = token_of(client)
    read = tfe.oauth_tokens.read(token_id)
    assert (read.id, read.has_ssh_key, bool(read.service_provider_user)) == (token_id, False, True)
    assert token_id in [each.id for each in tfe.oauth_tokens.list("default", OAuthTokenListOptions(page_size=50))]
    with pytest.raises(TFEError) as refused:
        tfe.oauth_tokens.update(token_id, OAuthTokenUpdateOptions(private_ssh_key="the text of a key"))
    assert refused.value.status == 422
    assert tfe.oauth_tokens.update(token_id, OAuthTokenUpdateOptions()).id == token_id
    tfe.oauth_tokens.delete(token_id)
    with pytest.raises(NotFound):
        tfe.oauth_clients.read(str(client.id))


def test_a_token_tells_what_it_reaches(site: Followed, client: OAuthClient) -> None:
    repo = site.repository()
    listed = site.server.api.get(f"oauth-tokens/{token_of(client)}/authorized-repos").json()["data"]
    assert repo.path in [each["attributes"]["display-identifier"] for each in listed]
    for identifier, exists in ((repo.path, True), ("acme/is-not-there", False)):
        asked = {"oauth_token_id": token_of(client), "identifier": identifier}
        checked = site.server.api.get("organizations/default/vcs/repo", params=asked).json()["data"]["attributes"]
        assert checked == {"identifier": identifier, "exists": exists}


def test_installations_are_listed_and_read(site: Followed, tfe: TFEClient) -> None:
    connection_id = site.connection["id"]
    found = list(tfe.github_app_installations.list(GitHubAppInstallationListOptions(name="acme", installation_id=INSTALLATION)))
    installation_id = connection_id.replace("vcs-", "ghain-")
    if site.kind.name != "github":
        assert found == []
        with pytest.raises(NotFound):
            tfe.github_app_installations.read(installation_id)
        return
    assert installation_id in [each.id for each in found]
    read = tfe.github_app_installations.read(installation_id)
    assert (read.name, read.installation_id, read.installation_type) == ("acme", INSTALLATION, "Organization")
    assert list(tfe.github_app_installations.list(GitHubAppInstallationListOptions(name="nobody"))) == []
    with pytest.raises(NotFound):
        tfe.oauth_clients.read(connection_id.replace("vcs-", "oc-"))
    repo = site.repository()
    listed = site.server.api.get(f"organizations/default/github-app-installations/{installation_id}/repos").json()["data"]
    assert repo.path in [each["attributes"]["identifier"] for each in listed]


def test_a_workspace_follows_changes_its_branch_and_lets_go(site: Followed, tfe: TFEClient, client: OAuthClient) -> None:
    repo = site.repository()
    linked = VCSRepoOptions(identifier=repo.path, oauth_token_id=token_of(client), branch="main")
    made = tfe.workspaces.create("default", WorkspaceCreateOptions(name=fresh(), vcs_repo=linked))
    assert made.vcs_repo is not None
    assert (made.vcs_repo.identifier, made.vcs_repo.branch, made.vcs_repo.oauth_token_id) == (repo.path, "main", token_of(client))
    repo.push({"other.tf": "# other\n"}, branch="release")
    options = WorkspaceUpdateOptions(name=made.name, vcs_repo=VCSRepoOptions(branch="release"))
    updated = tfe.workspaces.update(made.name, options, organization="default")
    assert updated.vcs_repo is not None
    assert (updated.vcs_repo.identifier, updated.vcs_repo.branch) == (repo.path, "release")
    assert tfe.workspaces.remove_vcs_connection(made.name, organization="default").vcs_repo is None
    again = tfe.workspaces.update_by_id(made.id, WorkspaceUpdateOptions(name=made.name, vcs_repo=linked))
    assert again.vcs_repo is not None
    assert tfe.workspaces.remove_vcs_connection_by_id(made.id).vcs_repo is None


def test_a_module_is_made_of_a_repository(site: Followed, tfe: TFEClient, client: OAuthClient) -> None:
    name = fresh("vpc")
    repo = site.forge.repository(f"acme/terraform-aws-{name}", {"main.tf": 'output "it" {\n  value = 1\n}\n'})
    repo.tag("v1.0.0")
    linked = RegistryModuleVCSRepoOptions(
        identifier=repo.path, display_identifier=repo.path, oauth_token_id=token_of(client), organization_name="default", tags=True
    )
    made = tfe.registry_modules.create_with_vcs_connection(RegistryModuleCreateWithVCSConnectionOptions(vcs_repo=linked))
    assert (made.name, made.provider, made.publishing_mechanism) == (name, "aws", PublishingMechanism.TAG)
    assert made.vcs_repo is not None
    assert (made.vcs_repo.identifier, made.vcs_repo.oauth_token_id, made.vcs_repo.tags) == (repo.path, token_of(client), True)
    module = RegistryModuleID(id=made.id)

    def versions() -> list[tuple[str, RegistryModuleVersionStatus]]:
        return [(each.version, each.status) for each in tfe.registry_modules.read(module).version_statuses]

    until(lambda: versions() == [("1.0.0", RegistryModuleVersionStatus.OK)], "the tag to be published")
    change = RegistryModuleUpdateOptions(vcs_repo=RegistryModuleVCSRepoUpdateOptions(tags=True, tag_prefix="it-"))
    named = RegistryModuleID(organization="default", name=name, provider="aws", namespace="default")
    updated = tfe.registry_modules.update(named, change)
    assert updated.vcs_repo is not None
    assert updated.vcs_repo.tag_prefix == "it-"
