"""`terrapod <name>` of a plugin: found by its entry point, handed a server, and never in the way of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from typing import Any

import click
import pytest
from click.testing import CliRunner

import terrapod_core.cli as cli
from terrapod_core.cli.for_plugins import Opener
from terrapod_core.plugin.commands import ServerClient, with_server

HERE = "tests.unit.cli.test_commands_of_plugins"


@click.command()
@click.argument("name")
@with_server
async def greet(server: ServerClient, name: str) -> None:
    """Greet somebody."""
    click.echo((await server.ask("GET", f"/hello/{name}"))["said"])


NO_COMMAND = "a text"


class Echo:
    async def ask(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        return {"said": f"{method} {path}"}


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [EntryPoint(name, f"{HERE}:{attribute}", "terrapod.commands") for name, attribute in
             (("greet", "greet"), ("broken", "nothing_of_that_name"), ("text", "NO_COMMAND"), ("serve", "greet"))]  # fmt: skip
    monkeypatch.setattr(cli, "entry_points", lambda group: found if group == "terrapod.commands" else [])


def call(*arguments: str) -> Any:
    return CliRunner().invoke(cli.main, arguments)


@pytest.mark.usefixtures("offered")
def test_a_command_of_a_plugin_gets_the_server_that_its_options_name(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    @asynccontextmanager
    async def client(self: Opener, **options: Any) -> AsyncIterator[Echo]:
        opened.append(options)
        yield Echo()

    monkeypatch.setattr(Opener, "client", client)
    done = call("greet", "ann", "--url", "http://localhost:1", "--plain-http")
    assert (done.exit_code, done.output) == (0, "GET /hello/ann\n")
    assert opened == [{"url": "http://localhost:1", "token_file": None, "certificate": None, "plain_http": True}]


@pytest.mark.usefixtures("offered")
def test_without_a_server_it_says_what_to_name() -> None:
    done = call("greet", "ann")
    assert done.exit_code == 2
    assert "name the server: --url" in done.output


@pytest.mark.usefixtures("offered")
def test_one_that_cannot_be_loaded_is_one_sentence() -> None:
    for name, sentence in (("broken", "cannot be loaded"), ("text", "is no click command")):
        done = call(name)
        assert done.exit_code == 1
        assert sentence in done.output
        assert "Traceback" not in done.output


@pytest.mark.usefixtures("offered")
def test_one_that_cannot_be_loaded_hides_no_other_from_the_help() -> None:
    done = call("--help")
    assert done.exit_code == 0
    assert "Greet somebody." in done.output
    assert "worker" in done.output
    assert "Not to be had: the command broken" in " ".join(done.output.split())


@pytest.mark.usefixtures("offered")
def test_ours_cannot_be_taken() -> None:
    assert "Greet" not in call("serve", "--help").output


def test_help_lists_ours_where_no_plugin_has_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: [])
    assert "worker" in call("--help").output
