"""Modules of the private registry, as terraform takes them: on somebody's machine and in remote runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support import wire
from tests.support.server import Server
from tests.support.tf import Done, Terraform, dotted, words
from tests.support.wire import document, fresh, make_person

SAYS = 'output "said" {\n  value = "%s"\n}\n'
WITH_SUBMODULE = {
    "main.tf": 'module "inner" {\n  source = "./modules/inner"\n}\n' + SAYS % "outer and ${module.inner.said}",
    "modules/inner/main.tf": SAYS % "inner",
    "README.md": "# A module\n",
}


def publish(server: Server, name: str, version: str, files: Mapping[str, str] | str) -> None:
    """A version of a module; a text is what its output says."""
    wire.publish_module(server.api, name, version, {"main.tf": SAYS % files} if isinstance(files, str) else files)


def change(server: Server, name: str, version: str, **said: object) -> None:
    """Deprecate or revoke a version."""
    path = f"{wire.ORG}/registry-modules/private/default/{name}/aws/{version}"
    wire.data(server.api.patch(path, json=document("registry-module-versions", **said)))


def using(server: Server, name: str, version: str | None = None, *, part: str = "") -> str:
    """A configuration that shows what a module says."""
    wanted = f'  version = "{version}"\n' if version is not None else ""
    source = f"{dotted(server)}/default/{name}/aws{part}"
    return f'module "it" {{\n  source = "{source}"\n{wanted}}}\noutput "said" {{\n  value = module.it.said\n}}\n'


def said(tf: Terraform) -> str:
    """What the module says, by a plan without a state."""
    done = tf.run("plan", "-input=false", "-no-color")
    return next(line.split('"')[1] for line in done.output.splitlines() if line.strip().startswith("+ said"))


@pytest.fixture
def module(server: Server) -> str:
    """The name of a module of the test's own."""
    name = fresh("module")
    wire.make_module(server.api, name)
    return name


def init(tf: Terraform, *more: str, check: bool = True) -> Done:
    """Initialise the directory."""
    return tf.run("init", "-input=false", *more, check=check)


def test_a_module_with_a_submodule_is_taken_by_a_local_run(tf: Terraform, module: str) -> None:
    publish(tf.server, module, "1.0.0", WITH_SUBMODULE)
    tf.write(using(tf.server, module, "1.0.0"))
    assert f"Downloading {dotted(tf.server)}/default/{module}/aws 1.0.0 for it..." in init(tf).text
    assert said(tf) == "outer and inner"


def test_a_newer_terraform_takes_it_too(terraform_115: Path, tmp_path: Path, server: Server, module: str) -> None:
    publish(server, module, "1.0.0", WITH_SUBMODULE)
    newer = Terraform(terraform_115, tmp_path / "newer", server)
    newer.write(using(server, module, "~> 1.0"))
    init(newer)
    assert said(newer) == "outer and inner"


def test_a_module_in_a_wrapper_as_forges_pack_it_is_taken(tf: Terraform, module: str) -> None:
    publish(tf.server, module, "1.0.0", {f"terraform-aws-it-1.0.0/{name}": text for name, text in WITH_SUBMODULE.items()})
    tf.write(using(tf.server, module, "1.0.0"))
    init(tf)
    assert said(tf) == "outer and inner"
    tf.write(using(tf.server, module, "1.0.0", part="//modules/inner"))
    init(tf)
    assert said(tf) == "inner"


def test_a_submodule_is_taken_by_its_path(tf: Terraform, module: str) -> None:
    publish(tf.server, module, "1.0.0", WITH_SUBMODULE)
    tf.write(using(tf.server, module, "1.0.0", part="//modules/inner"))
    init(tf)
    assert said(tf) == "inner"


def test_a_remote_run_takes_a_module_with_a_submodule_and_modules_within_modules(new_workspace: NewWorkspace, server: Server) -> None:
    inner, outer = fresh("module"), fresh("module")
    for name in (inner, outer):
        wire.make_module(server.api, name)
    publish(server, inner, "0.3.1", WITH_SUBMODULE)
    publish(server, outer, "1.0.0", {"main.tf": using(server, inner, "~> 0.3")})
    workspace = new_workspace()
    workspace.tf.write(using(server, outer, ">= 1.0.0"))
    init(workspace.tf)
    done = workspace.tf.run("apply", "-auto-approve")
    assert 'said = "outer and inner"' in done.text
    assert workspace.state()["outputs"]["said"]["value"] == "outer and inner"


def test_a_remote_run_takes_what_the_one_who_asked_for_it_may_read(new_workspace: NewWorkspace, open_server: Server) -> None:
    names = [fresh("module") for _ in range(2)]
    for name in names:
        wire.make_module(open_server.api, name)
        publish(open_server, name, "1.0.0", "hello")
    workspace = new_workspace(on=open_server)
    role = document("roles", name=fresh("role"), workspace_permission="plan", allow_names=[workspace.name, names[0]])
    wire.data(open_server.api.post("roles", json=role), 201)
    person = make_person(open_server, "planner")
    given = document("role-assignments", provider_name="local", email=person.email, roles=[role["data"]["attributes"]["name"]])
    wire.data(open_server.api.put("role-assignments", json=given))
    with closing(person.api):
        for name, sees in zip(names, (True, False), strict=True):
            files = {"main.tf": using(open_server, name, "1.0.0")}
            configuration = wire.make_configuration(person.api, workspace.id, files, speculative=True)
            run = wire.make_run(person.api, workspace.id, configuration, plan_only=True)
            found = wire.run_at(person.api, run, "planned_and_finished" if sees else "errored")
            log = words(workspace.log(found, "plan"))
            assert ("hello" in log) is sees
            assert ("cannot be found in the module registry" in log) is not sees


def test_constraints_choose_and_init_with_upgrade_moves(tf: Terraform, module: str) -> None:
    for version in ("1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1"):
        publish(tf.server, module, version, version)
    tf.write(using(tf.server, module, "~> 1.0"))
    init(tf)
    assert said(tf) == "1.10.0"
    publish(tf.server, module, "1.11.0", "1.11.0")
    init(tf)
    assert said(tf) == "1.10.0", "what is installed stays"
    init(tf, "-upgrade")
    assert said(tf) == "1.11.0"
    tf.write(using(tf.server, module))
    init(tf, "-upgrade")
    assert said(tf) == "1.11.0", "a pre-release is taken by its exact number alone"
    tf.write(using(tf.server, module, "2.0.0-rc.1"))
    init(tf)
    assert said(tf) == "2.0.0-rc.1"
    tf.write(using(tf.server, module, "~> 3.0"))
    refused = init(tf, "-upgrade", check=False)
    assert refused.code == 1
    assert "There is no available version of module" in refused.text


def test_a_revoked_version_is_refused_with_the_publishers_words(tf: Terraform, module: str) -> None:
    for version in ("1.0.0", "1.1.0"):
        publish(tf.server, module, version, version)
    change(tf.server, module, "1.1.0", revocation={"reason": "It opens port 22 to everybody"})
    tf.write(using(tf.server, module, "1.1.0"))
    refused = init(tf, check=False)
    assert refused.code == 1
    assert f"version 1.1.0 of default/{module}/aws was revoked on" in refused.text
    assert "It opens port 22 to everybody. The newest version that is not revoked is 1.0.0" in refused.text
    tf.write(using(tf.server, module, "!= 1.1.0"))
    init(tf)
    assert said(tf) == "1.0.0"


def test_a_deprecated_version_is_taken_as_before(tf: Terraform, module: str) -> None:
    """No terraform yet prints what the registry says of it; it is in the document that terraform reads."""
    publish(tf.server, module, "1.0.0", "old")
    change(tf.server, module, "1.0.0", deprecation={"reason": "Take 2", "link": "https://example.com/upgrade"})
    tf.write(using(tf.server, module, "1.0.0"))
    init(tf)
    assert said(tf) == "old"
    answer = tf.server.api.get(f"registry/modules/default/{module}/aws/versions").json()
    marked = {"reason": "Take 2", "link": "https://example.com/upgrade"}
    assert answer["modules"][0]["versions"] == [{"version": "1.0.0", "deprecation": marked}]


def test_a_module_that_one_may_not_read_is_told_as_none(terraform: Path, tmp_path: Path, server: Server, module: str) -> None:
    publish(server, module, "1.0.0", "hidden")
    stranger = make_person(server, "stranger")
    with closing(stranger.api):
        tf = Terraform(terraform, tmp_path / "stranger", server, token=stranger.token)
        for name in (module, "never-made"):
            tf.write(using(server, name))
            refused = init(tf, check=False)
            assert refused.code == 1
            assert "Module not found" in refused.text
