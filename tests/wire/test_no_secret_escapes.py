"""Planted secrets, looked for in everything the server says, shows to other processes and hands to its children."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest

from tests.support.known_forge import IDENTIFIER, connection_document, known_forge, make_connection, trusting
from tests.support.server import KEYS, Server
from tests.support.waiting import until
from tests.support.wire import attributes, data, document, fresh, lock, make_configuration, make_run, make_workspace, put_state, state

WRONG = "wrong-password-planted-31415"


class Planted:
    """Every secret that was given or handed out so far, and what was said in answer to bad ones."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.secrets = {"the admin's password": server.password, "the admin's token": server.token, "a key": KEYS.partition(":")[2]}
        self.errors: list[str] = []

    def plant(self, what: str, secret: str) -> str:
        self.secrets[what] = secret
        return secret

    def refused(self, answer: httpx.Response) -> None:
        assert answer.status_code >= 400, answer.text
        self.errors.append(answer.text + str(answer.headers))

    def found_in(self, text: str) -> list[str]:
        return [what for what, secret in self.secrets.items() if secret in text or quote(secret, safe="") in text]


def use_it_all(planted: Planted) -> None:
    """Signs in, makes tokens, follows signed links, and does each of them wrongly as well."""
    server, api = planted.server, planted.server.api
    begun = data(httpx.get(f"{server.url}/api/v2/auth/authorize", trust_env=False))
    state_text = planted.plant("the state of a sign-in", begun["attributes"]["state"])
    with httpx.Client(base_url=server.url, trust_env=False, headers={"Accept": "text/html"}) as browser:
        fields = hidden(browser.get("/app/sign-in").text)
        planted.plant("the state of a page", fields["state"])
        wrong = {**fields, "email": server.email, "password": planted.plant("a wrong password", WRONG)}
        answer = browser.post("/app/sign-in", data=wrong, headers={"Origin": server.url})
        planted.errors.append(answer.text.replace(hidden(answer.text).get("state", "-"), ""))
        fields = hidden(browser.get("/app/sign-in?again=1&provider=local").text)
        answer = browser.post(
            "/app/sign-in", data={**fields, "email": server.email, "password": server.password}, headers={"Origin": server.url}
        )
        assert answer.status_code == 303, answer.text
        for cookie in browser.cookies.jar:
            planted.plant(f"the cookie {cookie.name}", cookie.value or "-")
    planted.refused(httpx.post(f"{server.url}/api/v2/auth/callback", json={"state": state_text, "password": WRONG}, trust_env=False))

    made = attributes(api.post("authentication-tokens", json=document("authentication-tokens", description="planted")), 201)
    with server.client(planted.plant("a new token", made["token"])) as mine:
        assert mine.get("account/details").status_code == 200
    with server.client(planted.plant("a wrong token", "terrapod-planted-27182818284590452353602874713527")) as other:
        planted.refused(other.get("account/details"))
    planted.refused(
        httpx.post(f"{server.url}/oauth/token", data={"code": planted.plant("a code", "code-planted-16180339")}, trust_env=False)
    )

    workspace = make_workspace(api)["id"]
    variable = document(
        "vars", key="secret", value=planted.plant("a variable", "variable-planted-14142135"), category="env", sensitive=True
    )
    data(api.post(f"workspaces/{workspace}/vars", json=variable), 201)
    bad = document(
        "vars", key="a b", value=planted.plant("a refused variable", "refused-planted-17320508"), category="nothing", sensitive=True
    )
    planted.refused(api.post(f"workspaces/{workspace}/vars", json=bad))
    planted.refused(
        api.post(f"workspaces/{workspace}/vars", content=f'{{"data": {{"value": "{planted.plant("half a body", "half-planted-2236")}"')
    )
    lock(api, workspace)
    kept = put_state(api, workspace, state(1, outputs={"key": planted.plant("an output", "output-planted-26457513")}))
    for name, value in kept["attributes"].items():
        if isinstance(value, str) and "/c/" in value:
            link = planted.plant(f"the link {name}", value.partition("/c/")[2])
            assert httpx.get(value, trust_env=False).status_code == 200
            planted.refused(httpx.get(value[:-4] + "AAAA", trust_env=False))
            planted.plant(f"the bent link {name}", link[:-4] + "AAAA")
    api.post(f"workspaces/{workspace}/actions/unlock", json={})
    planted.refused(httpx.get(f"{server.url}/c/{planted.plant('a made-up link', 'link-planted-33166247')}", trust_env=False))
    planted.refused(
        httpx.get(f"{server.url}/nothing?token={planted.plant('a token in a query', 'query-planted-36055512')}", trust_env=False)
    )


def follow_a_repository(planted: Planted) -> None:
    """Connects a forge, rightly and wrongly, and has a workspace follow a repository of it."""
    server, api = planted.server, planted.server.api
    token = planted.plant("a forge's token", "glpat-planted-43588989")
    known_forge().tokens.add(token)
    made = make_connection(api, token=token)
    secret = planted.plant("a webhook's secret", made["attributes"]["webhook-secret"])
    wrong = planted.plant("a wrong token of a forge", "glpat-planted-wrong-43588989")
    planted.refused(api.post("organizations/default/vcs-connections", json=connection_document(token=wrong)))
    planted.refused(api.patch(f"vcs-connections/{made['id']}", json=document("vcs-connections", token=wrong)))
    key = planted.plant("a private key", "MIIEpAIBAAKCAQEAplanted43588989")
    pem = "".join(f"-----{end} RSA PRIVATE KEY-----\n{line}" for end, line in (("BEGIN", f"{key}\n"), ("END", "")))
    app = {"github_app_id": 1, "github_installation_id": 2, "private_key": pem}
    bad = document("vcs-connections", name="planted", provider="github", base_url=known_forge().url, **app)
    planted.refused(api.post("organizations/default/vcs-connections", json=bad))
    related = {"vcs-connection": {"type": "vcs-connections", "id": made["id"]}}
    followed = document("workspaces", related, name=fresh(), vcs_repo_url=IDENTIFIER)
    workspace = data(api.post("organizations/default/workspaces", json=followed), 201)["id"]
    path = f"workspaces/{workspace}/vcs-changes"
    until(lambda: [each["attributes"]["status"] for each in data(api.get(path))] == ["skipped"], "the repository to be fetched")
    webhook = f"{server.url}/api/v2/vcs-events/gitlab/{made['id']}"
    body = {"object_kind": "push", "project": {"path_with_namespace": IDENTIFIER}}
    for text in (secret, planted.plant("a wrong secret of a webhook", "webhook-planted-43588989")):
        headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": text}
        answer = httpx.post(webhook, json=body, headers=headers, trust_env=False)
        assert answer.status_code == (202 if text == secret else 401), answer.text
        planted.errors.append(answer.text)


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a form."""
    pieces = page.split('type="hidden" name="')[1:]
    return {piece.partition('"')[0]: piece.partition('value="')[2].partition('"')[0] for piece in pieces}


@pytest.mark.parametrize("form", ["console", "json"])
def test_nothing_secret_is_logged_answered_or_audited(new_server: Callable[..., Server], form: str) -> None:
    server = new_server(settings={"LOG_FORMAT": form, "LOG_LEVEL": "debug", "SECRETS__KEYS": KEYS, **trusting()}).start()
    planted = Planted(server)
    use_it_all(planted)
    follow_a_repository(planted)
    assert server.stop() == 0
    log = server.said()
    assert "/api/v2/account/details" in log
    assert "/c/<token>" in log
    assert planted.found_in(log) == []
    assert planted.found_in("\n".join(planted.errors)) == []
    with sqlite3.connect(server.data / "terrapod.db") as database:
        rows = database.execute("SELECT * FROM audit_entries").fetchall()
    database.close()
    assert len(rows) > 5
    assert planted.found_in(repr(rows)) == []
    files = {path: path.read_bytes() for path in server.data.rglob("*") if path.is_file() and "dev-tls" not in path.parts}
    for what, secret in planted.secrets.items():
        assert not [path for path, content in files.items() if secret.encode() in content or _decoded(secret) in content], what


def _decoded(secret: str) -> bytes:
    """A key is kept as bytes elsewhere; anything else as it is."""
    return base64.b64decode(secret) if secret == KEYS.partition(":")[2] else secret.encode()


def test_no_other_process_sees_a_secret_and_no_child_gets_one(
    new_server: Callable[..., Server], engines: dict[str, str], tmp_path: Path
) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text(KEYS)
    plugin = {"RUNNER__LOCAL__CONCURRENCY": "1"}
    server = new_server(settings={**engines, **plugin, "SECRETS__KEYS_FILE": str(key_file)}).start()
    planted = Planted(server)
    assert_hidden(server.pid, planted)
    shown = environment(server.pid)
    assert "TERRAPOD_SECRETS__KEYS_FILE=" in shown
    assert "TERRAPOD_RUNNER__LOCAL__CONCURRENCY=1" in shown
    server.stop()


def assert_hidden(pid: int, planted: Planted) -> None:
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        assert planted.found_in(environment(process.pid)) == [], f"environment of {process}"
        assert planted.found_in("\0".join(process.cmdline())) == [], f"command line of {process}"


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text(errors="replace")


def test_a_run_sees_none_of_the_servers_secrets(new_server: Callable[..., Server], engines: dict[str, str]) -> None:
    """Its command lines and environments, down to the engine's, hold no credential but its own variables."""
    server = new_server(settings={**engines, "SECRETS__KEYS": KEYS}).start()
    planted = Planted(server)
    api = server.api
    workspace = make_workspace(api)["id"]
    waiting = 'resource "terraform_data" "x" {\n  provisioner "local-exec" {\n    command = "env > env.txt; sleep 300"\n  }\n}\n'
    run = make_run(api, workspace, make_configuration(api, workspace, {"main.tf": waiting}), auto_apply=True)
    until(lambda: any("sleep" in name_of(each) for each in children(server)), "the provisioner to run", seconds=90)
    assert len(children(server)) >= 3
    for process in children(server):
        text = environment(process.pid)
        assert planted.found_in(text) == [], f"environment of {process}"
        assert "TERRAPOD_BOOTSTRAP" not in text
        assert planted.found_in("\0".join(process.cmdline())) == [], f"command line of {process}"
    api.post(f"runs/{run}/actions/force-cancel", json={})
    api.post(f"runs/{run}/actions/cancel", json={})


def name_of(process: psutil.Process) -> str:
    """Nothing for one that has just ended: terraform's own come and go."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def children(server: Server) -> list[psutil.Process]:
    """The processes that work for the server: runners outlive it, so they are told by where they work."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != server.pid and server.directory in [Path(process.cwd()), *Path(process.cwd()).parents]:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
