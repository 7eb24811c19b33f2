"""Remote runs get providers and modules of mirrored registries from the server by themselves, on plain http."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.support import sandboxes, wire
from tests.support.listeners import make_pool, make_token
from tests.support.listening import NewListener
from tests.support.mirrored import REGISTRY, called
from tests.support.real_provider import configuration
from tests.support.server import Server
from tests.support.tf import words
from tests.support.upstream import PLATFORMS, Upstream
from tests.support.waiting import until

Mirroring = Callable[..., Server]
USES = configuration(f"{REGISTRY}/acme/fake", "1.0.0") + called()


def run_of(
    server: Server,
    files: str | Mapping[str, Any] = USES,
    *,
    ends: str = "applied",
    variables: tuple[tuple[str, str], ...] = (),
    **settings: Any,
) -> str:
    """A run of these files (of one that is `main.tf`) in a workspace of its own; its id, once it has ended so."""
    workspace = wire.make_workspace(server.api, auto_apply=True, **settings)["id"]
    for key, value in variables:
        wire.data(server.api.post(f"workspaces/{workspace}/vars", json=wire.document("vars", key=key, value=value, category="env")), 201)
    made = wire.data(
        server.api.post(
            f"workspaces/{workspace}/configuration-versions", json=wire.document("configuration-versions", auto_queue_runs=False)
        ),
        201,
    )
    packed = wire.archive({"main.tf": files} if isinstance(files, str) else files)
    httpx.put(made["attributes"]["upload-url"], content=packed, verify=server.trust, trust_env=False).raise_for_status()
    run = wire.make_run(server.api, workspace, made["id"])

    def status() -> str | None:
        found = wire.attributes(server.api.get(f"runs/{run}"))["status"]
        return str(found) if found in ("applied", "errored") else None

    assert until(status, "the run to end", seconds=wire.RUN_SECONDS) == ends, log_of(server, run)
    return run


def log_of(server: Server, run: str) -> str:
    """The text of its plan's log, without frames."""
    url = wire.attributes(server.api.get(f"runs/{run}/plan"))["log-read-url"]
    return words(httpx.get(url, params={"limit": 1 << 20}, verify=server.trust, trust_env=False).text)


def outputs(server: Server, run: str) -> dict[str, Any]:
    """What the run's workspace has as outputs."""
    workspace = wire.data(server.api.get(f"runs/{run}"))["relationships"]["workspace"]["data"]["id"]
    found = wire.data(server.api.get(f"workspaces/{workspace}/current-state-version-outputs"))
    return {each["attributes"]["name"]: each["attributes"]["value"] for each in found}


def test_a_remote_run_gets_provider_and_module_through_the_mirror_and_again_without_upstream(mirroring: Mirroring, up: Upstream) -> None:
    server = mirroring(dev_tls=False)
    assert outputs(server, run_of(server)) == {"id": "thing-one", "pet": "1.0.0"}
    assert (up.count("*_linux_amd64.zip"), up.count("/archives/modules/*")) == (1, 1)
    with up.stopped():
        assert outputs(server, run_of(server)) == {"id": "thing-one", "pet": "1.0.0"}


def test_over_https_with_a_certificate_of_its_own_and_a_token_of_the_workspace(mirroring: Mirroring, up: Upstream) -> None:
    server = mirroring()
    run = run_of(server, variables=((f"TF_TOKEN_{REGISTRY.replace('.', '_')}", "of-the-real-registry"),))
    assert outputs(server, run) == {"id": "thing-one", "pet": "1.0.0"}
    assert "TF_TOKEN_registry_example_com is the runner's own and was left out" in log_of(server, run)
    assert not any("of-the-real-registry" in str(asked.headers) for asked in up.asked)


def test_the_log_of_a_run_says_what_its_mirror_could_not_bring(mirroring: Mirroring, up: Upstream) -> None:
    server = mirroring(dev_tls=False)
    with up.twisted("*_linux_amd64.zip", tampered=True):
        run = run_of(server, configuration(f"{REGISTRY}/acme/fake", "1.0.0"), ends="errored")
    log = log_of(server, run)
    said = "The mirror of this server could not give what was asked for: version 1.0.0 of registry.example.com/acme/fake for linux_amd64"
    assert said in log
    assert "is refused: its SHA-256 is" in log
    with up.stopped():
        other = run_of(server, called("1.1.0"), ends="errored")
    assert "registry.example.com/acme/pet/null cannot be had from its upstream now" in log_of(server, other)


def test_runs_are_left_alone_where_the_setting_says_so(mirroring: Mirroring, up: Upstream) -> None:
    server = mirroring(dev_tls=False, MIRRORS__REMOTE_RUNS="false")
    run = run_of(server, called(), ends="errored")
    assert f"https://{REGISTRY}/.well-known/terraform.json" in log_of(server, run)
    assert up.connections == 0


def test_a_listener_whose_runs_are_in_a_sandbox_uses_the_mirror_too(
    mirroring: Mirroring, up: Upstream, engines: dict[str, str], tmp_path: Path
) -> None:
    sandboxes.order()
    server = mirroring(dev_tls=False)
    pool = str(make_pool(server.api)["id"])
    make = NewListener(tmp_path / "listeners", server, engines)
    with closing(make):
        make("one", settings={"RUNNER__LOCAL__ISOLATION": "sandbox"}).start(make_token(server.api, pool))
        run = run_of(server, called(), execution_mode="agent", agent_pool_id=pool)
    assert outputs(server, run) == {"pet": "1.0.0"}
    assert up.count("/archives/modules/*") == 1


def test_a_provider_that_the_configuration_brings_is_taken_from_there(mirroring: Mirroring, up: Upstream) -> None:
    server = mirroring(dev_tls=False)
    place = f"terraform.d/plugins/{REGISTRY}/acme/fake"
    release = up.providers["acme/fake"].versions["1.0.0"]
    files = {"main.tf": USES, f"{place}/{release.name(PLATFORMS[0])}": release.files[PLATFORMS[0]]}
    run = run_of(server, files, vendored_providers=True)
    assert outputs(server, run) == {"id": "thing-one", "pet": "1.0.0"}
    assert up.count("*.zip") == 0


def test_a_provider_of_a_tree_that_nobody_signed_is_signed_by_the_server(mirroring: Mirroring, up: Upstream, tmp_path: Path) -> None:
    tree, host = tmp_path / "tree", "tree.example.com"
    up.write_tree(tree, host)
    server = mirroring(dev_tls=False, MIRROR__DIRECTORY__PROVIDERS_AT=str(tree), MIRROR__DIRECTORY__PROVIDER_HOSTS=host)
    run = run_of(server, configuration(f"{host}/acme/fake", "1.0.0"))
    assert outputs(server, run) == {"id": "thing-one"}
    assert up.connections == 0
