"""Pages of the reference that are printed from one table of the core each."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import click

import terrapod_core
from terrapod_core.authz import EVERYONE_LABEL, NEEDS, Level, PlatformRole
from terrapod_core.cli import main as terrapod
from terrapod_core.errors import TerrapodError
from terrapod_core.plugin import Plugins
from terrapod_core.runs import status as run_status
from terrapod_core.runs.status import ALLOWED, FINAL, PHASE_FINAL, PhaseStatus, RunStatus
from terrapod_core.settings import Reference, Settings, load, reference
from terrapod_core.settings.schema import SECTIONS
from tests.docs.markdown import code, prose, table
from tests.support.access import LEVELS, TABLE as ROUTES, Actions, Gets, Page
from tests.support.sources import PLUGINS

FIRST_PARTY = tuple(path.name.removeprefix("terrapod-") for path in PLUGINS)
"""The entry points of the plugins of this checkout: what else is installed here has its own documentation."""


def settings() -> str:
    """Every setting of the core and of the first-party plugins."""
    text = (
        "# Settings\n\n"
        "Settings come from a file and from the environment; a variable wins over the file, and an option of a command over both.\n"
        "The file is the one that `TERRAPOD_CONFIG` names, else `terrapod.toml` here, else the one in `/etc/terrapod`.\n"
        "A key with a dot is in a table: `server.port` is `port` in `[server]`. Relative paths count from the working directory.\n\n"
        "Every variable has a twin that ends in `_FILE` and names a file with the value: `TERRAPOD_SECRETS__KEYS_FILE=/run/secrets/keys`.\n"
        "Some have a short name, as `TERRAPOD_LOG_FORMAT`; the regular one (`TERRAPOD_LOG__FORMAT`) works too.\n"
        "In a variable a list is written with commas. An unknown setting is an error that names the nearest known one.\n"
        "`terrapod settings show` prints what is in force, and where each value came from.\n"
    )
    for section, rows in groupby(reference(), key=lambda row: row.key.rpartition(".")[0]):
        title, about = (f"[{section}]", prose(SECTIONS[section])) if section else ("At the top of the file", "")
        text += f"\n## {title}\n\n" + (f"{about}\n\n" if about else "") + _settings_table(list(rows))
    for section, rows in groupby(plugins().reference(), key=lambda row: row.key.rpartition(".")[0]):
        plugin = "terrapod-" + "-".join(section.removeprefix("plugin.").split(".")[:2])  # [plugin.sync] is terrapod-sync's
        text += f"\n## [{section}]\n\nOf the plugin [{plugin}](../../plugins/{plugin}/README.md).\n\n" + _settings_table(list(rows))
    return text


def plugins() -> Plugins:
    """The first-party plugins, loaded with no settings at all."""
    with bare_settings() as chosen:
        return Plugins.discover(chosen)


@contextmanager
def bare_settings() -> Iterator[Settings]:
    """Settings of a machine that has none, with an empty data directory and the plugins of this checkout."""
    with tempfile.TemporaryDirectory() as directory:
        nothing = Path(directory) / "terrapod.toml"
        nothing.touch()
        environ = {"TERRAPOD_DATA_DIR": directory, "TERRAPOD_PLUGINS__ENABLED": ",".join(FIRST_PARTY)}
        yield load(path=nothing, environ=environ)


def _settings_table(rows: list[Reference]) -> str:
    def cells(row: Reference) -> list[str]:
        return [code(row.key), code(row.env), row.type, _default(row.default), row.doc]

    return table(("key", "variable", "takes", "default", "meaning"), map(cells, rows))


def _default(text: str) -> str:
    """A value as code; words about a value (which hold a space) as words."""
    return text if " " in text else code(text)


def permissions() -> str:
    """The table that the gate reads, and what each route needs."""
    text = (
        "# Permissions\n\n"
        "Who asks has a level on each workspace. Each level includes those below it. The first of these that holds decides;\n"
        "[Give access](../how-to/give-access.md) says how roles are made and given.\n\n"
        "| who | level |\n| --- | --- |\n"
        f"| platform role `{PlatformRole.ADMIN}` | `admin`, everywhere |\n"
        "| the owner of a workspace (who made it, until a platform admin gives it away) | `admin`, there |\n"
        f"| platform role `{PlatformRole.AUDIT}` | `read`, everywhere; more where a role below gives it |\n"
        "| custom roles, unless any of them denies the workspace | the highest level of those that allow it |\n"
        f"| the label `{'='.join(EVERYONE_LABEL)}`, unless a role denies the workspace | `read` |\n"
        "| everybody else | none |\n\n"
        "A token can be narrowed to some workspaces and to a highest level; it never gives more than its user has.\n\n"
        "Without the level `read` a thing does not exist: the answer is 404, and 422 for an id inside a document. With it, an\n"
        "action that needs more is 403, and the refusal names the level that is needed. Without a valid token everything is 401.\n"
    )
    for level in Level:
        needed = [permission for permission, needs in NEEDS.items() if needs is level]
        if needed:
            text += f"\n## {level.name.lower()}\n\n" + "".join(f"- `{permission}`\n" for permission in needed)
    rows = ([code(route), row.needs.words()] for route, row in sorted(ROUTES.items(), key=_by_path))
    text += "\n## Routes\n\nWhat each route needs. A test walks all of them as everybody.\n\n" + table(("route", "needs"), rows)
    return (
        text
        + (
            "\n## Pages\n\nWhat a browser gets from each page, by what the one who is signed in there holds. No token opens a page.\n"
            "A form is refused with 403 when it lacks the form token of the session, or comes from another site's page.\n\n"
        )
        + table(("page", "not signed in", *map(str, LEVELS)), _pages())
    )


def _pages() -> Iterator[list[str]]:
    """A row for each page, and for each action of one that has some."""
    for route, row in sorted(ROUTES.items(), key=_by_path):
        if not isinstance(row.needs, Page):
            continue
        actions = row.needs.needs.permissions if isinstance(row.needs.needs, Actions) else ("",)
        for action in actions:
            shown = [row.needs.shows(who, action) for who in LEVELS]
            name = route.replace("<action>", action) if action else route
            yield [code(name), "sign-in page" if route.startswith("GET") or route.endswith("sign-out") else "401", *map(_answer, shown)]


def _answer(gets: Gets) -> str:
    return "yes" if gets is Gets.IN else gets.value


def _by_path(entry: tuple[str, object]) -> tuple[str, str]:
    method, _, path = entry[0].partition(" ")
    return path, method


def statuses() -> str:
    """Statuses of runs and phases, and the steps between them."""
    groups = {name: getattr(run_status, name) for name in ("CONFIRMABLE", "DISCARDABLE", "CANCELABLE")}
    words = {"CONFIRMABLE": "confirm", "DISCARDABLE": "discard", "CANCELABLE": "cancel"}

    def cells(status: RunStatus) -> list[str]:
        onward = ", ".join(code(each) for each in RunStatus if each in ALLOWED[status]) or "none: the run is over"
        actions = ", ".join(words[name] for name, members in groups.items() if status in members)
        return [code(status), onward, actions]

    phases = [[code(status), "yes" if status in PHASE_FINAL else ""] for status in PhaseStatus]
    return (
        "# Statuses\n\n"
        f"{prose(RunStatus)} How a run moves through them is told in [The life of a run](../explanation/runs.md).\n\n"
        "## Runs\n\n"
        + table(("status", "may become", "a person may"), map(cells, RunStatus))
        + f"\nA run in {', '.join(code(each) for each in RunStatus if each in FINAL)} never moves again.\n"
        + "A step that is not in this table is refused with 409.\n"
        + f"\n## Plans and applies\n\n{prose(PhaseStatus)}\n\n"
        + table(("status", "final"), phases)
    )


def errors() -> str:
    """The tree of domain errors."""
    for module in pkgutil.walk_packages(terrapod_core.__path__, "terrapod_core."):
        if ".migrations." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    rows = [
        ["&nbsp;" * 4 * depth + code(each.__name__), str(each.status), each.title, prose(each).split("\n\n")[0]]
        for each, depth in _descendants(TerrapodError)
    ]
    return (
        "# Errors\n\n"
        "Every refusal is a JSON:API error document: `errors`, each with `status`, `title`, `detail` and, where it can be said,\n"
        "`source.pointer` (a place in the document that was sent) or `source.parameter` (a part of the query).\n"
        "`code` and `meta` are there when a program can use them. An unknown route, a wrong method\n"
        "and a crash of the server answer in the same form.\n\n"
        "Permanent failures are 4xx: terraform repeats a request that was answered with 5xx for minutes.\n\n"
        + table(("error", "status", "title", "meaning"), rows)
    )


def _descendants(parent: type[TerrapodError], depth: int = 0) -> Iterator[tuple[type[TerrapodError], int]]:
    yield parent, depth
    ours = [each for each in parent.__subclasses__() if each.__module__.startswith("terrapod_core.")]
    for child in sorted(ours, key=lambda each: (each.status, each.__name__)):
        yield from _descendants(child, depth + 1)


def cli() -> str:
    """Every command with its arguments and options."""
    return (
        "# The command line\n\n"
        "`terrapod COMMAND --help` prints the same. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.\n"
        "Commands that touch data work while the server runs; give them the `--data-dir` the server has.\n"
        + "".join(_command(terrapod, "terrapod", click.Context(terrapod, info_name="terrapod")))
    )


def _command(command: click.Command, path: str, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _command(child, f"{path} {name}", click.Context(child, info_name=name, parent=context))
        return
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"\n## {path}\n\n```sh\n{usage}\n```\n\n{inspect.cleandoc(command.help or '')}\n"
    options = [each for each in command.get_params(context) if isinstance(each, click.Option) and "--help" not in each.opts]
    records = [record for each in options if (record := each.get_help_record(context))]
    if records:
        yield "\n" + table(("option", "meaning"), ([code(option), " ".join(about.split())] for option, about in records))
