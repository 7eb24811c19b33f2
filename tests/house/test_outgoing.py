"""One way out: `terrapod_core.outgoing` makes the HTTP clients, so that no address is asked without its limits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.sources import committed, imports, is_product, tree

CLIENTS = (
    "urllib.request",
    "urllib3",
    "requests",
    "aiohttp",
    "http.client",
    "httpcore",
    "httpx2",
    "lightkube.AsyncClient",
    "lightkube.Client",
    "authlib.integrations",
    "onelogin.saml2.idp_metadata_parser",
)
"""Modules that ask other servers by themselves; authlib's and python3-saml's do beside what is used of them."""
MAKING = {
    "Client",
    "AsyncClient",
    "HTTPTransport",
    "AsyncHTTPTransport",
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "request",
    "stream",
}


def may(path: Path) -> bool:
    """Who may: the room itself, the kits for tests, `terrapod try`, and the runner, which knows one server and no library.

    And one module that asks the API of a cluster, which has an authority of its own and knows clients by their certificates; and the
    plugins of object stores, whose clients are the services' own and ask what the operator named.
    """
    return (
        path.parts[-2:] == ("terrapod_runner_kubernetes", "cluster.py")
        or path.parts[:2] in {("plugins", f"terrapod-storage-{each}") for each in ("s3", "gcs", "azure")}
        or path.parts[:2] in {("terrapod_core", "outgoing"), ("terrapod_core", "testing"), ("terrapod_core", "runner")}
        or path.name == "try_.py"
    )


def product() -> list[Path]:
    return [each for each in committed() if is_product(each)]


def asks(module: str) -> bool:
    """Whether what is imported makes requests, or clients that do."""
    package, _, name = module.rpartition(".")
    return any(f"{module}.".startswith(f"{each}.") for each in CLIENTS) or (package == "httpx" and name in MAKING)


def test_nobody_else_imports_a_library_that_asks_other_servers() -> None:
    found = [f"{path}:{line} {module}" for path in product() if not may(path) for line, module in imports(path) if asks(module)]
    assert not found, "use HTTPClients of terrapod_core.outgoing (in a plugin: context.http):\n" + "\n".join(found)


def test_nobody_else_makes_an_httpx_client() -> None:
    found = [
        f"{path}:{node.lineno} httpx.{node.func.attr}"
        for path in product()
        if not may(path)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKING
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "httpx"
    ]
    assert not found, "use HTTPClients of terrapod_core.outgoing (in a plugin: context.http):\n" + "\n".join(found)


def test_there_is_something_to_hold_to_this() -> None:
    assert sum(may(path) for path in product()) >= 5
    assert any(path.parts[0] == "contrib" for path in product())


@pytest.mark.parametrize("module", ["requests", "urllib3.poolmanager", "httpx.AsyncClient", "authlib.integrations.httpx_client"])
def test_a_client_is_known_by_its_import(module: str) -> None:
    assert asks(module)


@pytest.mark.parametrize("module", ["httpx", "httpx.HTTPError", "authlib.oauth2.rfc7636", "urllib.parse", "requests_of_ours"])
def test_and_what_is_none_is_left_alone(module: str) -> None:
    assert not asks(module)
