"""`terrapod registry publish module`: from a directory to what terraform takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from contextlib import closing
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import NewWorkspace
from tests.support import wire
from tests.support.publishing import publish, run_script, write
from tests.support.server import Server, running
from tests.support.tf import Terraform, dotted
from tests.support.wire import data, document, fresh, make_person

FILES = {
    "main.tf": 'variable "who" {\n  type = string\n}\n\noutput "said" {\n  value = "hello, ${var.who}"\n}\n',
    "README.md": "# A module\n",
    ".git/config": "secret",
    ".terraformignore": "notes/\n",
    "notes/todo.txt": "later",
    "modules/inner/main.tf": 'output "said" {\n  value = "inner"\n}\n',
}


@pytest.fixture
def name() -> str:
    """Of a module of the test's own."""
    return fresh("module")


@pytest.fixture
def directory(tmp_path: Path, name: str) -> Path:
    """A module's directory, called as they are."""
    return write(tmp_path / f"terraform-aws-{name}", FILES)


def path(name: str) -> str:
    """Where the module is managed."""
    return f"{wire.ORG}/registry-modules/default/{name}/aws"


def members(server: Server, name: str, version: str = "1.0.0") -> set[str]:
    """The files that were published."""
    link = server.api.get(f"registry/modules/default/{name}/aws/{version}/download").headers["X-Terraform-Get"]
    content = httpx.get(server.url + link, trust_env=False, verify=server.trust).content
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        return set(archive.getnames())


def test_a_directory_becomes_a_module_that_terraform_uses_as_it_was_told(tf: Terraform, directory: Path, name: str) -> None:
    done = publish(tf.server, "module", directory, "--version", "1.0.0")
    assert done.code == 0, done.errors
    assert done.errors == f"made the module default/{name}/aws\npublished default/{name}/aws 1.0.0\n"
    assert done.output == (
        f'module "{name}" {{\n  source  = "{tf.server.host}/default/{name}/aws"\n  version = "1.0.0"\n\n'
        "  # Required, fill in: string\n  who = null\n}\n"
    )
    assert members(tf.server, name) == {"main.tf", "README.md", ".terraformignore", "modules/inner/main.tf"}
    filled = done.output.replace("null", '"you"').replace(tf.server.host, dotted(tf.server))
    tf.write(filled + f'output "said" {{\n  value = module.{name}.said\n}}\n')
    tf.run("init", "-input=false")
    assert '"hello, you"' in tf.run("plan", "-input=false", "-no-color").output


def test_publishing_again_is_fine_and_publishing_something_else_is_not(server: Server, directory: Path, name: str) -> None:
    first = publish(server, "module", directory, "--version", "1.0.0")
    again = publish(server, "module", directory, "--version", "1.0.0", "--quiet")
    assert (again.code, again.output, again.errors) == (0, first.output, "")
    write(directory, {"more.tf": ""})
    other = publish(server, "module", directory, "--version", "1.0.0")
    assert (other.code, other.output) == (1, "")
    assert f"version 1.0.0 of default/{name}/aws is there, with another archive or by somebody else" in other.errors
    assert publish(server, "module", directory, "--version", "1.0.1").code == 0


def test_a_version_that_was_begun_goes_on(server: Server, directory: Path, name: str) -> None:
    wire.make_module(server.api, name)
    data(server.api.post(f"{path(name)}/versions", json=document("registry-module-versions", version="1.0.0")), 201)
    assert publish(server, "module", directory, "--version", "1.0.0").code == 0
    assert wire.attributes(server.api.get(f"{path(name)}/1.0.0"))["status"] == "ok"


def test_an_archive_is_published_as_it_is(server: Server, tmp_path: Path, name: str) -> None:
    file = tmp_path / "v1.tar.gz"
    file.write_bytes(wire.archive(FILES))
    refused = publish(server, "module", file, "--version", "1.0.0")
    assert refused.code == 2
    assert "say what the module is called" in refused.errors
    assert publish(server, "module", file, "--version", "1.0.0", "--name", f"{name}/aws").code == 0
    assert members(server, name) == set(FILES)


def test_what_is_no_module_is_refused_before_anything_is_made(server: Server, tmp_path: Path, name: str) -> None:
    directory = write(tmp_path / f"terraform-aws-{name}", {"README.md": "# Nothing\n"})
    done = publish(server, "module", directory, "--version", "1.0.0")
    assert done.code == 1
    assert "there is no configuration in it" in done.errors
    assert server.api.get(path(name)).status_code == 404


def test_the_servers_reasons_are_told(server: Server, directory: Path, name: str) -> None:
    done = publish(server, "module", directory, "--version", "1.0")
    assert done.code == 1
    assert "is not a semantic version" in done.errors
    person = make_person(server, "nobody")
    with closing(person.api):
        done = publish(server, "module", directory, "--version", "1.0.0", "--name", f"other-{name}/aws", token=person.token)
    assert done.code == 1
    assert "Traceback" not in done.errors
    assert len(done.errors.splitlines()) == 1
    bad = publish(server, "module", directory, "--version", "1.0.0", token="terrapod-nobody")
    assert bad.code == 1
    assert "the server does not accept the token" in bad.errors


def test_what_somebody_else_publishes_is_held_and_said_so(server: Server, directory: Path, name: str) -> None:
    wire.make_module(server.api, name, labels={"team": name})
    role = document("roles", name=fresh("role"), workspace_permission="read", registry_permission="write", allow_labels={"team": [name]})
    data(server.api.post("roles", json=role), 201)
    person = make_person(server, "writer")
    given = document("role-assignments", provider_name="local", email=person.email, roles=[role["data"]["attributes"]["name"]])
    data(server.api.put("role-assignments", json=given))
    with closing(person.api):
        done = publish(server, "module", directory, "--version", "1.0.0", token=person.token)
    assert done.code == 0, done.errors
    assert done.errors == f"default/{name}/aws 1.0.0 is uploaded, and held until one of the module's publishers releases it\n"


def test_the_token_of_terraform_login_is_taken(server: Server, directory: Path, tmp_path: Path) -> None:
    arguments = ("module", directory, "--version", "1.0.0")
    none = publish(server, *arguments, token="")
    assert none.code == 2
    assert f"no token for {server.host}: give it in TERRAPOD_TOKEN or --token-file" in none.errors
    kept = {"credentials": {server.host: {"token": server.token}}}
    write(tmp_path / "home" / ".terraform.d", {"credentials.tfrc.json": json.dumps(kept)})
    assert publish(server, *arguments, token="", home=tmp_path / "home").code == 0


def test_a_token_comes_from_a_file(server: Server, directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(server.token + "\n")
    assert publish(server, "module", directory, "--version", "1.0.0", "--token-file", file, token="").code == 0
    twice = publish(server, "module", directory, "--version", "1.0.0", "--token-file", file)
    assert twice.code == 2
    assert "the token is given twice" in twice.errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--url", "http://terrapod.example.com"), "is not encrypted"),
        (("--url", "terrapod.example.com"), "--url"),
        (("--name", "vpc"), "write NAME/PROVIDER"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(server: Server, directory: Path, arguments: tuple[str, ...], says: str) -> None:
    done = publish(server, "module", directory, "--version", "1.0.0", *arguments)
    assert done.code == 2
    assert says in done.errors
    assert len(done.errors.splitlines()) == 1


def test_a_module_that_is_too_large_is_said_to_be_though_the_server_hangs_up(directory: Path, tmp_path: Path) -> None:
    (directory / "noise").write_bytes(os.urandom(20 << 20))
    with running(tmp_path / "server", settings={"LIMITS__MODULE_BYTES": str(1 << 20)}) as server:
        done = publish(server, "module", directory, "--version", "1.0.0")
    assert done.code == 1
    assert "the module archive is larger than the limit of 1 MiB" in done.errors


def test_a_server_that_is_away_is_said_to_be_and_so_is_a_state_in_the_directory(server: Server, directory: Path) -> None:
    write(directory, {"terraform.tfstate": "{}"})
    done = publish(server, "module", directory, "--version", "1.0.0", "--url", "http://127.0.0.1:9")
    assert "note: terraform.tfstate is packed, a state with all its values" in done.errors
    assert done.code == 1
    assert "http://127.0.0.1:9 cannot be asked" in done.errors


RULES = [
    *("# a comment", "", "secret.txt", "logs/", "/only-here.txt", "!logs/keep.txt", "*.bak", "docs/**/draft-?.md", "plain", "\\#odd"),
    "set[ab].txt",
]
PATHS = [
    *("secret.txt", "deep/secret.txt", "logs/a.log", "logs/keep.txt", "deep/logs/b.log", "only-here.txt", "deep/only-here.txt"),
    *("x.bak", "deep/x.bak", "docs/draft-1.md", "docs/a/b/draft-2.md", "docs/draft-10.md", "plain/inside.txt", "#odd", "seta.txt"),
    *("setc.txt", ".git/config", ".terraform/modules/m/main.tf", ".terraform/providers/p", ".hidden", "deep/.terraform/x"),
]


def test_what_is_packed_is_what_terraform_packs(new_workspace: NewWorkspace, server: Server, tmp_path: Path, name: str) -> None:
    files = {"main.tf": wire.QUICK, ".terraformignore": "\n".join(RULES)} | dict.fromkeys(PATHS, "x")
    workspace = new_workspace()
    for file, text in files.items():
        workspace.tf.write(text, file)
    workspace.tf.run("init", "-input=false")
    workspace.tf.run("plan", "-input=false")
    uploaded = server.api.get(f"workspaces/{workspace.id}/configuration-versions").json()["data"][0]["id"]
    content = server.api.get(f"configuration-versions/{uploaded}/download", follow_redirects=True).content
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        theirs = {member.name for member in archive if member.isfile()}
    done = publish(server, "module", workspace.tf.directory, "--version", "1.0.0", "--name", f"{name}/aws")
    assert done.code == 0, done.errors
    assert members(server, name) == theirs


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq", "git"))), reason="needs curl, jq and git")
def test_the_guides_script_publishes_a_tag_without_the_command(server: Server, tmp_path: Path, name: str) -> None:
    wire.make_module(server.api, name)
    directory = write(tmp_path / "m", {"main.tf": "locals {}\n"})
    for command in ("init -q", "add .", "commit -qm x", "tag v1.4.0"):
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *command.split()]
        subprocess.run(git, cwd=directory, check=True, capture_output=True)
    words = {"default/vpc/aws": f"default/{name}/aws"}
    done = run_script(0, server, directory, "1.4.0", **words)
    assert done.code == 0, done.errors
    assert members(server, name, "1.4.0") == {"main.tf"}
    again = run_script(0, server, directory, "1.4.0", **words)
    assert again.code != 0
    assert "version 1.4.0" in again.errors
