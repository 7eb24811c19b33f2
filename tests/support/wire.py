"""What the tests that speak HTTP say and expect: documents, refusals, archives, states, runs, users."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.server import Server
from tests.support.waiting import until

JSON = "application/json"
JSON_API = "application/vnd.api+json"
ORG = "organizations/default"
LINEAGE = "8f1c3a52-1111-4222-8333-944455556666"
UNKNOWN = "1111111111111111"
"""The part of an id behind its prefix that no id has."""

FINAL = frozenset({"applied", "planned_and_finished", "planned_and_saved", "discarded", "canceled", "errored"})
RUN_SECONDS = 120.0

QUICK = """
variable "greeting" {
  type    = string
  default = "hello"
}

resource "terraform_data" "one" {
  input = var.greeting
}

output "said" {
  value = terraform_data.one.output
}

output "hidden" {
  value     = "xyzzy-hidden-output"
  sensitive = true
}
"""
"""A configuration that needs no provider from anywhere."""

_numbers = itertools.count(1)
_LEAKS = re.compile(
    r"Traceback|sqlalchemy|sqlite|asyncpg|msgspec|object at 0x|NoneType|\bKeyError\b|\bself\.|<class|File \"", re.IGNORECASE
)


def fresh(word: str = "ws") -> str:
    """A name that no other test of this run has; workspaces, projects, tags and users share one count."""
    return f"{word}-{os.getpid()}-{next(_numbers)}"


# -- documents


def document(kind: str, relationships: Mapping[str, Any] | None = None, /, **attributes: Any) -> dict[str, Any]:
    """A JSON:API document; attribute names are written with underscores here and with dashes on the wire."""
    data: dict[str, Any] = {"type": kind, "attributes": {name.replace("_", "-"): value for name, value in attributes.items()}}
    if relationships is not None:
        data["relationships"] = {name: {"data": value} for name, value in relationships.items()}
    return {"data": data}


def ref(kind: str, ident: str) -> dict[str, str]:
    """A resource identifier."""
    return {"type": kind, "id": ident}


def data(response: httpx.Response, status: int = 200) -> Any:
    """The `data` of an answer that must have this status."""
    assert response.status_code == status, f"{response.request.method} {response.request.url}: {response.status_code} {response.text[:600]}"
    return response.json()["data"]


def attributes(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The attributes of the one thing in an answer."""
    found: dict[str, Any] = data(response, status)["attributes"]
    return found


def refused(response: httpx.Response, *statuses: int, pointer: str | None = None, says: str | None = None) -> list[dict[str, Any]]:
    """Check that an answer is a refusal that a person and a program can read, and return its errors.

    `pointer` is what one of the errors must point to (or begin with, when it ends in `*`), `says` a pattern in one of the sentences.
    """
    what = f"{response.request.method} {response.request.url.path} -> {response.status_code} {response.text[:600]}"
    assert response.status_code in statuses, what
    return check_errors(response.status_code, response.headers.get("content-type", ""), response.content, what, pointer, says)


def check_errors(
    status: int, content_type: str, body: bytes, what: str, pointer: str | None = None, says: str | None = None
) -> list[dict[str, Any]]:
    """The same for an answer that did not come through httpx."""
    assert 400 <= status < 500, what
    assert content_type.partition(";")[0] in (JSON, JSON_API), f"{content_type}: {what}"
    found = json.loads(body)
    assert set(found) == {"errors"}, what
    errors: list[dict[str, Any]] = found["errors"]
    assert errors, what
    for error in errors:
        assert error["status"] == str(status), what
        assert error["title"].strip(), what
        detail = error["detail"]
        assert len(detail) >= 12, f"no sentence: {what}"
        assert " " in detail, f"no sentence: {what}"
        assert not _LEAKS.search(detail), f"not meant for people: {what}"
    if pointer is not None:
        pointers = [error.get("source", {}).get("pointer", "") for error in errors]
        wanted = pointer.removesuffix("*")
        assert any(one.startswith(wanted) if pointer.endswith("*") else one == wanted for one in pointers), f"{pointers}: {what}"
    if says is not None:
        assert any(re.search(says, error["detail"]) for error in errors), f"{says!r} is not in {what}"
    return errors


# -- archives and states


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """A configuration archive as terraform packs one."""
    return packed(entry(name, content.encode() if isinstance(content, str) else content) for name, content in files.items())


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """One member of an archive, however odd."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, len(content)
    return member, content


def packed(entries: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar.gz of these members, the same bytes each time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member, content in entries:
            tar.addfile(member, io.BytesIO(content) if content else None)
    return gzip.compress(raw.getvalue(), mtime=0)


def state(serial: int = 1, *, lineage: str = LINEAGE, outputs: Mapping[str, Any] | None = None, note: str = "") -> bytes:
    """A state as terraform writes one; `note` makes it another one with the same numbers."""
    shown = outputs if outputs is not None else {"said": "hello"}
    written = {
        name: {"value": value, "type": "string", **({"sensitive": True} if name.startswith("hidden") else {})}
        for name, value in shown.items()
    }
    resource = {
        "mode": "managed",
        "type": "terraform_data",
        "name": "one",
        "provider": 'provider["terraform.io/builtin/terraform"]',
        "instances": [{"schema_version": 0, "attributes": {"id": f"id{note}", "input": None, "output": None, "triggers_replace": None}}],
    }
    return json.dumps(
        {
            "version": 4,
            "terraform_version": "1.11.4",
            "serial": serial,
            "lineage": lineage,
            "outputs": written,
            "resources": [resource],
            "check_results": None,
        },
        indent=2,
    ).encode()


def md5(content: bytes) -> str:
    """The digest that clients send with a state."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def b64(content: bytes) -> str:
    """Bytes as an attribute holds them."""
    return base64.b64encode(content).decode()


def state_version(content: bytes, *, serial: int | None = None, lineage: str | None = LINEAGE, **more: Any) -> dict[str, Any]:
    """The document that announces a state."""
    number = serial if serial is not None else json.loads(content)["serial"]
    named = {"lineage": lineage} if lineage is not None else {}
    return document("state-versions", **({"serial": number, "md5": md5(content)} | named | more))


# -- things


def make_workspace(api: httpx.Client, **settings: Any) -> dict[str, Any]:
    """A workspace of a name of its own, as the API shows it."""
    name = settings.pop("name", None) or fresh("ws")
    made: dict[str, Any] = data(api.post(f"{ORG}/workspaces", json=document("workspaces", name=name, **settings)), 201)
    return made


def make_varset(
    api: httpx.Client,
    values: Mapping[str, str],
    *,
    workspaces: Iterable[str] = (),
    projects: Iterable[str] = (),
    is_global: bool = False,
    category: str = "terraform",
    sensitive: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """A variable set of a name of its own, with these variables and assignments, as the API shows it."""
    held = [{"key": key, "value": value, "category": category, "sensitive": sensitive} for key, value in values.items()]
    related = {
        "vars": [{"type": "vars", "attributes": each} for each in held],
        "workspaces": [ref("workspaces", each) for each in workspaces],
        "projects": [ref("projects", each) for each in projects],
    }
    sent = document("varsets", related, **({"name": fresh("varset"), "global": is_global} | settings))
    made: dict[str, Any] = data(api.post(f"{ORG}/varsets", json=sent), 201)
    return made


def make_module(api: httpx.Client, name: str | None = None, **settings: Any) -> dict[str, Any]:
    """A module for AWS, of a name of its own unless one is given, as the API shows it."""
    sent = document("registry-modules", **({"name": name or fresh("module"), "provider": "aws"} | settings))
    made: dict[str, Any] = data(api.post(f"{ORG}/registry-modules", json=sent), 201)
    return made


def publish_module(api: httpx.Client, name: str, version: str, files: Mapping[str, str | bytes] | None = None) -> dict[str, Any]:
    """A version of a module for AWS in the namespace `default`, with its archive, as the API shows it."""
    path = f"{ORG}/registry-modules/private/default/{name}/aws"
    made = data(api.post(f"{path}/versions", json=document("registry-module-versions", version=version)), 201)
    response = put(made["links"]["upload"], archive(files or {"main.tf": QUICK}))
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = data(api.get(f"{path}/{version}"))
    return shown


def make_configuration(api: httpx.Client, workspace_id: str, files: Mapping[str, str] | None = None, **settings: Any) -> str:
    """An uploaded configuration version; its id."""
    sent = document("configuration-versions", **({"auto_queue_runs": False} | settings))
    made = data(api.post(f"workspaces/{workspace_id}/configuration-versions", json=sent), 201)
    response = put(made["attributes"]["upload-url"], archive(files or {"main.tf": QUICK}))
    assert response.status_code == 200, response.text
    ident: str = made["id"]
    return ident


def make_run(api: httpx.Client, workspace_id: str, configuration_id: str | None = None, **settings: Any) -> str:
    """A queued run; its id."""
    related = {"workspace": ref("workspaces", workspace_id)}
    if configuration_id is not None:
        related["configuration-version"] = ref("configuration-versions", configuration_id)
    ident: str = data(api.post("runs", json=document("runs", related, **settings)), 201)["id"]
    return ident


def run_at(api: httpx.Client, run_id: str, *statuses: str) -> dict[str, Any]:
    """The run once it has one of these statuses; fails at once when it has ended in another."""

    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = data(api.get(f"runs/{run_id}"))
        status = run["attributes"]["status"]
        if status in statuses:
            return run
        assert status not in FINAL, f"the run is {status}, not {statuses}: {run['attributes'].get('error-message')}\n{log_of(api, run_id)}"
        return None

    return until(look, f"run {run_id} to be {' or '.join(statuses)}", seconds=RUN_SECONDS)


def log_of(api: httpx.Client, run_id: str, phase: str = "plan") -> str:
    """All of a phase's log, without its colours."""
    url = attributes(api.get(f"runs/{run_id}/{phase}"))["log-read-url"]
    pieces = b""
    while piece := httpx.get(url, params={"offset": len(pieces), "limit": 65536}, trust_env=False).content:
        pieces += piece
    return re.sub(r"\x1b\[[0-9;]*m", "", pieces.decode(errors="replace"))


def lock(api: httpx.Client, workspace_id: str) -> None:
    """Take a workspace's lock."""
    data(api.post(f"workspaces/{workspace_id}/actions/lock", json={}))


def put_state(api: httpx.Client, workspace_id: str, content: bytes, **more: Any) -> dict[str, Any]:
    """Announce and upload a state as terraform does; the state version. The caller holds the lock."""
    made = data(api.post(f"workspaces/{workspace_id}/state-versions", json=state_version(content, **more)), 201)
    response = put(made["attributes"]["hosted-state-upload-url"], content)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = data(api.get(f"state-versions/{made['id']}"))
    return found


def put(url: str, content: bytes, **headers: str) -> httpx.Response:
    """Upload to a link, without a token, as go-tfe does."""
    return httpx.put(url, content=content, headers={"Content-Type": "application/octet-stream", **headers}, timeout=60, trust_env=False)


def stored(server: Server) -> set[Path]:
    """The files of configurations and states in the object store, half-written ones included."""
    root = server.data / "objects"
    folders = (root / name for name in ("configuration-versions", "state-versions", ".incoming"))
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


# -- people


PASSPHRASE = "a long enough passphrase 42"
"""Of everybody whom `make_person` makes."""


@dataclass
class Person:
    """A user with an API token."""

    email: str
    id: str
    api: httpx.Client
    token: str = field(repr=False)


def terrapod(server: Server, *arguments: str) -> str:
    """What a `terrapod` command prints on standard output, run beside the server on its data."""
    environment = {name: os.environ[name] for name in ("PATH",) if name in os.environ} | {"HOME": str(server.directory), "LANG": "C.UTF-8"}
    environment |= server.where
    command = [sys.executable, "-m", "terrapod_core", *arguments, "--data-dir", str(server.data)]
    done = subprocess.run(command, cwd=server.directory, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def make_person(server: Server, name: str, *roles: str) -> Person:
    """Make a user and a token as an operator would; close the client."""
    email = f"{fresh(name)}@example.com"
    if roles:
        terrapod(server, "users", "create", email, "--password", PASSPHRASE, *(part for role in roles for part in ("--role", role)))
    else:
        data(server.api.post("admin/users", json=document("users", email=email, password=PASSPHRASE)), 201)
    with server.client(_session(server, email)) as session:
        token: str = attributes(session.post("authentication-tokens", json=document("authentication-tokens")), 201)["token"]
    api = server.client(token)
    return Person(email, data(api.get("account/details"))["id"], api, token)


def _session(server: Server, email: str) -> str:
    """The bearer text of a session of somebody whom `make_person` made; a command of the server's would take its time to begin."""
    with httpx.Client(
        base_url=server.url, verify=server.trust, trust_env=False, timeout=30, headers={"Accept": "application/json"}
    ) as browser:
        begun = data(browser.get("/api/v2/auth/authorize", params={"provider": "local"}))
        sent = {"state": begun["attributes"]["state"], "email": email, "password": PASSPHRASE}
        text: str = attributes(browser.post("/api/v2/auth/callback", json=sent))["token"]
    return text
