"""A planted secret, looked for in the environment, the files and the log of a real terraform that plans for people with little rights."""

from __future__ import annotations

import base64
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support import wire
from tests.support.gate import Gate
from tests.support.server import Server
from tests.support.wire import Person, data, document, fresh, log_of, make_configuration, make_person, make_run, make_workspace, run_at

IN_VARIABLE, IN_ENVIRONMENT = "planted-in-a-variable-27182", "planted-in-the-environment-31415"


def configuration(gate: Gate) -> dict[str, str]:
    """What somebody would upload who wants to know: the log shows it in a form that no masking finds."""
    return {
        "main.tf": f"""
            variable "token" {{ default = "none" }}
            variable "zone" {{ default = "none" }}
            output "waited" {{ value = {gate.plan} }}
            output "told" {{ value = base64encode("${{var.token}}${{var.zone}}") }}
        """
    }


def person(server: Server, name: str, level: str) -> Person:
    """Somebody with this level on the workspace of this name."""
    made, role = make_person(server, fresh(level)), fresh(f"{level}-role")
    data(server.api.post("roles", json=document("roles", name=role, workspace_permission=level, allow_names=[name])), 201)
    data(server.api.put("role-assignments", json=document("role-assignments", provider_name="local", email=made.email, roles=[role])))
    return made


def children(server: Server, secret: str) -> set[str]:
    """Programs that have the secret in their environment or command line."""
    found = set()
    for process in psutil.process_iter():
        try:
            if secret in "\0".join([*process.cmdline(), *process.environ().values()]):
                found.add(process.name())
        except psutil.Error:
            continue
    return found


def files(server: Server, secret: str) -> list[Path]:
    """Files of the runner that hold it."""
    found = []
    for path in server.directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and "terrapod.db" not in path.name:
            try:
                if secret.encode() in path.read_bytes():
                    found.append(path)
            except OSError:
                continue
    return found


@pytest.mark.parametrize("setting", ["with-secrets", "no-secrets"])
@pytest.mark.parametrize("source", ["their own upload", "a trusted upload with variables", "a trusted upload"])
def test_a_planted_secret_is_found_only_where_it_was_given(open_server: Server, tmp_path: Path, source: str, setting: str) -> None:
    api = open_server.api
    workspace = make_workspace(api, untrusted_plans=setting)
    ident, name = workspace["id"], workspace["attributes"]["name"]
    for key, category, value in (("token", "terraform", IN_VARIABLE), ("AWS_SECRET_ACCESS_KEY", "env", IN_ENVIRONMENT)):
        sent = document("vars", key=key, category=category, value=value, sensitive=True)
        data(api.post(f"workspaces/{ident}/vars", json=sent), 201)
    planner = person(open_server, name, "plan")
    gate = Gate(tmp_path / "gate")
    with closing(planner.api) as theirs:
        uploader: httpx.Client = theirs if source == "their own upload" else api
        version = make_configuration(uploader, ident, configuration(gate), speculative=uploader is theirs)
        more: dict[str, Any] = {"variables": [{"key": "zone", "value": '"b"'}]} if "variables" in source else {}
        run = make_run(theirs, ident, version, plan_only=True, **more)
        gate.wait()
        given = source == "a trusted upload" or setting == "with-secrets"
        assert bool(children(open_server, IN_ENVIRONMENT)) is given
        assert (bool(children(open_server, IN_VARIABLE)) or bool(files(open_server, IN_VARIABLE))) is given
        gate.open()
        run_at(theirs, run, "planned_and_finished")
        log = log_of(theirs, run)
        told = base64.b64encode((IN_VARIABLE + ("b" if more else "none")).encode()).decode()
        assert (told in log) is given
        assert ("planned without the workspace's sensitive variables" in log) is not given
        attributes = wire.attributes(theirs.get(f"runs/{run}"))
        assert attributes["trusted"] is (source == "a trusted upload")


def test_a_workspace_that_refuses_says_so(open_server: Server) -> None:
    api = open_server.api
    workspace = make_workspace(api, untrusted_plans="refused")
    planner = person(open_server, workspace["attributes"]["name"], "plan")
    with closing(planner.api) as theirs:
        version = make_configuration(theirs, workspace["id"], speculative=True)
        sent = document(
            "runs",
            {"workspace": wire.ref("workspaces", workspace["id"]), "configuration-version": wire.ref("configuration-versions", version)},
        )
        errors = wire.refused(theirs.post("runs", json=sent), 403, says="untrusted-plans")
        assert errors[0]["code"] == "untrusted_plans_refused"
        wire.refused(theirs.patch(f"workspaces/{workspace['id']}", json=document("workspaces", untrusted_plans="with-secrets")), 403)
    wire.refused(
        api.patch(f"workspaces/{workspace['id']}", json=document("workspaces", untrusted_plans="banana")),
        422,
        pointer="/data/attributes/untrusted-plans",
    )
