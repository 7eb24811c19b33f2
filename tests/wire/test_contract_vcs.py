"""The contract's VCS connections and webhooks, as it shows them, and what of them is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.forge_github import SECRET, GitHubForge
from tests.support.known_forge import known_forge, make_connection, trusting
from tests.support.server import Server, running
from tests.support.wire import JSON, JSON_API, ORG, Person, data, document, fresh, make_person, refused

PATH = f"{ORG}/vcs-connections"


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubForge]:
    """A GitHub with one repository."""
    forge = GitHubForge(tmp_path_factory.mktemp("github"))
    forge.start()
    forge.repository("acme/net")
    yield forge
    forge.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes GitHub's webhooks by the setting that the contract names."""
    settings = {**trusting(), "VCS__GITHUB__WEBHOOK_SECRET": SECRET}
    with running(tmp_path_factory.mktemp("server"), settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def api(server: Server) -> httpx.Client:
    return server.api


@pytest.fixture(scope="module")
def alice(server: Server) -> Iterator[Person]:
    person = make_person(server, "alice")
    with closing(person.api):
        yield person


def raw(server: Server, method: str, path: str, text: str = "") -> httpx.Response:
    """As curl sends it."""
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": JSON_API}
    return httpx.request(method, f"{server.url}/api/v2/{path}", content=text or None, headers=headers, trust_env=False, timeout=30)


def test_the_example_of_github(server: Server, github: GitHubForge) -> None:
    key = json.dumps(github.app_values["private-key"])
    name = fresh("my-github")
    sent = f"""{{
  "data": {{
    "type": "vcs-connections",
    "attributes": {{
      "name": "{name}",
      "provider": "github",
      "base-url": "{github.url}",
      "github-app-id": 12345,
      "github-installation-id": 112887490,
      "github-account-login": "acme",
      "github-account-type": "Organization",
      "private-key": {key}
    }}
  }}
}}"""
    answer = raw(server, "POST", PATH, sent)
    made = data(answer, 201)
    shown = made["attributes"]
    assert answer.headers["content-type"].partition(";")[0] in (JSON, JSON_API)
    assert (made["type"], made["id"][:4]) == ("vcs-connections", "vcs-")
    assert (shown["name"], shown["provider"], shown["status"]) == (name, "github", "active")
    assert (shown["github-app-id"], shown["github-installation-id"]) == (12345, 112887490)
    assert (shown["github-account-login"], shown["github-account-type"]) == ("acme", "Organization")
    assert "private-key" not in shown
    assert "PRIVATE KEY" not in answer.text
    assert shown["webhook-secret"]
    again = raw(server, "GET", made["links"]["self"].removeprefix("/api/v2/"))
    assert data(again)["attributes"] == {key: value for key, value in shown.items() if key != "webhook-secret"}
    listed = data(raw(server, "GET", PATH))
    assert [each["id"] for each in listed if each["attributes"]["name"] == name] == [made["id"]]
    deleted = raw(server, "DELETE", f"vcs-connections/{made['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    refused(raw(server, "GET", f"vcs-connections/{made['id']}"), 404)


def test_the_example_of_gitlab(server: Server) -> None:
    name = fresh("my-gitlab")
    sent = f"""{{
  "data": {{
    "type": "vcs-connections",
    "attributes": {{
      "name": "{name}",
      "provider": "gitlab",
      "base-url": "{known_forge().url}",
      "token": "forge-token"
    }}
  }}
}}"""
    answer = raw(server, "POST", PATH, sent)
    shown = data(answer, 201)["attributes"]
    assert (shown["name"], shown["provider"], shown["status"]) == (name, "gitlab", "active")
    assert shown["account"]
    assert "forge-token" not in answer.text


def test_the_example_of_a_workspace(server: Server) -> None:
    connection = make_connection(server.api)["id"]
    related = {"vcs-connection": wire.ref("vcs-connections", connection)}
    sent = document("workspaces", related, name=fresh(), vcs_repo_url=f"{known_forge().url}/acme/known", vcs_branch="main")
    made = data(server.api.post(f"{ORG}/workspaces", json=sent), 201)
    shown = data(server.api.patch(f"workspaces/{made['id']}", json=document("workspaces", vcs_working_directory="terraform/")))
    assert shown["attributes"]["vcs-repo-url"] == f"{known_forge().url}/acme/known"
    assert shown["attributes"]["vcs-branch"] == "main"
    assert shown["attributes"]["vcs-working-directory"] in ("terraform/", "terraform")
    assert shown["relationships"]["vcs-connection"]["data"] == {"id": connection, "type": "vcs-connections"}


def test_platform_admins_alone_make_and_delete_them(server: Server, alice: Person) -> None:
    made = make_connection(server.api)["id"]
    refused(alice.api.post(PATH, json=document("vcs-connections", name=fresh(), provider="gitlab", token="x")), 403)
    hidden, unknown = (refused(alice.api.delete(f"vcs-connections/{each}"), 404) for each in (made, f"vcs-{wire.UNKNOWN}"))
    assert hidden == unknown
    assert data(alice.api.get(PATH)) == []


def test_a_signed_webhook_has_the_repository_looked_at(server: Server, github: GitHubForge) -> None:
    connection = document("vcs-connections", name=fresh(), provider="github", base_url=github.url)
    connection["data"]["attributes"] |= github.app_values
    ident = data(server.api.post(PATH, json=connection), 201)["id"]
    related = {"vcs-connection": wire.ref("vcs-connections", ident)}
    data(server.api.post(f"{ORG}/workspaces", json=document("workspaces", related, name=fresh(), vcs_repo_url="acme/net")), 201)
    body = json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "acme/net"}, "after": "0" * 40}).encode()

    def send(path: str, secret: str) -> httpx.Response:
        signature = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        headers = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature}
        return httpx.post(f"{server.url}/api/v2/vcs-events/{path}", content=body, headers=headers, trust_env=False)

    answer = send("github", SECRET)
    assert (answer.status_code, answer.json()) == (202, {"followed": 1})
    assert send("github", SECRET).status_code == 202, "the same again does no harm"
    refused(send("github", "another secret"), 401)
    refused(send(f"github/{ident}", SECRET), 401)
    secret = data(server.api.post(f"vcs-connections/{ident}/actions/renew-webhook-secret"))["attributes"]["webhook-secret"]
    assert send(f"github/{ident}", secret).json() == {"followed": 1}
    refused(send("gitlab", SECRET), 404, says="webhook_secret")
    refused(send("nothing", SECRET), 404)
    refused(send(f"github/vcs-{wire.UNKNOWN}", secret), 401)


GOOD: dict[str, Any] = {"name": "never-made", "provider": "gitlab", "token": "forge-token"}
BAD = {
    "an unknown provider": ({"provider": "cvs"}, "provider"),
    "no provider": ({"provider": None}, "provider"),
    "a provider that is a number": ({"provider": 7}, "provider"),
    "no name": ({"name": None}, "name"),
    "a name that is a list": ({"name": []}, "name"),
    "a name of slashes": ({"name": "a/b"}, "name"),
    "a name that is too long": ({"name": "a" * 91}, "name"),
    "no token": ({"token": None}, "token"),
    "a token that is an object": ({"token": {"a": 1}}, "token"),
    "a token of two lines": ({"token": "planted-secret\nX-Header: 1"}, "token"),
    "a token that is endless": ({"token": "planted-secret" * 2000}, "token"),
    "an address of another kind": ({"base-url": "ftp://example.com"}, "base-url"),
    "an address with a password": ({"base-url": "https://me:planted-secret@example.com"}, "base-url"),
    "an address with a query": ({"base-url": "https://example.com/?token=planted-secret"}, "base-url"),
    "no address": ({"base-url": "nonsense"}, "base-url"),
    "an address that is a number": ({"base-url": 7}, "base-url"),
    "an address with a port that is none": ({"base-url": "https://example.com:99999"}, "base-url"),
    "an address with half a bracket": ({"base-url": "https://[::1"}, "base-url"),
    "repositories that are a text": ({"repositories": "*"}, "repositories"),
    "repositories that are numbers": ({"repositories": [1]}, "repositories"),
    "a repository without a name": ({"repositories": [""]}, "repositories"),
    "too many repositories": ({"repositories": [f"a{number}" for number in range(101)]}, "repositories"),
    "roles that are an object": ({"roles": {}}, "roles"),
}


@pytest.mark.parametrize(("wrong", "name"), BAD.values(), ids=BAD.keys())
def test_a_connection_that_cannot_be_is_refused_and_its_secrets_are_not_repeated(
    api: httpx.Client, wrong: dict[str, Any], name: str
) -> None:
    sent = {"data": {"type": "vcs-connections", "attributes": {"base-url": known_forge().url, **GOOD, **wrong}}}
    answer = api.post(PATH, json=sent)
    refused(answer, 422, pointer=f"/data/attributes/{name}")
    assert "planted-secret" not in answer.text
    assert "forge-token" not in answer.text


def test_a_name_is_taken_once(api: httpx.Client) -> None:
    first, second = (make_connection(api)["attributes"]["name"] for _ in range(2))
    refused(api.post(PATH, json=document("vcs-connections", **{**GOOD, "name": first, "base-url": known_forge().url})), 422, says="taken")
    found = next(each["id"] for each in data(api.get(PATH)) if each["attributes"]["name"] == second)
    refused(api.patch(f"vcs-connections/{found}", json=document("vcs-connections", name=first)), 422, says="taken")


def test_credentials_that_the_forge_refuses_are_never_stored(api: httpx.Client) -> None:
    sent = document("vcs-connections", **{**GOOD, "name": fresh(), "token": "planted-secret", "base-url": known_forge().url})
    answer = api.post(PATH, json=sent)
    refused(answer, 422)
    assert "planted-secret" not in answer.text
    made = make_connection(api)
    refused(api.patch(f"vcs-connections/{made['id']}", json=document("vcs-connections", token="planted-secret")), 422)
    assert data(api.post(f"vcs-connections/{made['id']}/actions/test"))["attributes"]["status"] == "active"


def test_a_forge_that_is_away_is_named(api: httpx.Client) -> None:
    sent = document("vcs-connections", **{**GOOD, "name": fresh(), "base-url": "https://localhost:1"})
    refused(api.post(PATH, json=sent), 422, says="localhost refuses the connection")
    sent["data"]["attributes"]["base-url"] = "https://nowhere.invalid"
    refused(api.post(PATH, json=sent), 422, says="nowhere.invalid has no address")


def test_a_forge_without_webhooks_has_no_address_for_them(api: httpx.Client) -> None:
    sent = document("vcs-connections", name=fresh(), provider="git", base_url=known_forge().url, token="forge-token")
    shown = data(api.post(PATH, json=sent), 201)["attributes"]
    assert shown["webhook-url"] is None
    assert "webhook-secret" not in shown


def test_what_is_no_document_is_refused(server: Server) -> None:
    for text in ("", "{", "[]", "null", '{"data": []}', '{"data": {"attributes": []}}', '{"data": {"type": "workspaces"}}'):
        answer = raw(server, "POST", PATH, text)
        refused(answer, 400, 409, 422)


def test_an_invisible_connection_in_a_document_is_as_good_as_none(server: Server, alice: Person) -> None:
    """By any of its names, in the contract's words and in go-tfe's."""
    hidden = make_connection(server.api)["id"]
    rest = hidden.removeprefix("vcs-")

    def sent(ident: str) -> Iterator[dict[str, Any]]:
        yield document(
            "workspaces", {"vcs-connection": wire.ref("vcs-connections", f"vcs-{ident}")}, name=fresh(), vcs_repo_url="acme/known"
        )
        for kind in ("oauth-token-id", "github-app-installation-id"):
            prefix = "ot" if kind == "oauth-token-id" else "ghain"
            yield document("workspaces", name=fresh(), vcs_repo={"identifier": "acme/known", kind: f"{prefix}-{ident}"})

    def answers(ident: str) -> list[tuple[int, str]]:
        found = [alice.api.post(f"{ORG}/workspaces", json=each) for each in sent(ident)]
        return [(each.status_code, each.text.replace(ident, "<id>")) for each in found]

    assert answers(rest) == answers(wire.UNKNOWN)
    assert {status for status, _ in answers(rest)} == {422}


def test_no_secret_of_a_connection_is_logged_shown_or_stored_in_clear(server: Server, github: GitHubForge) -> None:
    connection = document("vcs-connections", name=fresh(), provider="github", base_url=github.url)
    connection["data"]["attributes"] |= github.app_values
    made = data(server.api.post(PATH, json=connection), 201)
    token = make_connection(server.api)["id"]
    secrets = [made["attributes"]["webhook-secret"], github.app_values["private-key"].splitlines()[5], "forge-token", SECRET]
    for ident in (made["id"], token):
        data(server.api.post(f"vcs-connections/{ident}/actions/test"))
        data(server.api.patch(f"vcs-connections/{ident}", json=document("vcs-connections", repositories=["acme/*"])))
    audit = server.api.get("admin/audit-log", params={"filter[resource-type]": "vcs-connections"}).text
    shown = server.said() + audit + server.api.get(PATH).text
    assert "vcs-connection.create" in audit
    assert [secret for secret in secrets if secret in shown] == []
    stored = b"".join(path.read_bytes() for path in server.data.glob("terrapod.db*"))
    assert [secret for secret in secrets if secret.encode() in stored] == []
