"""Where settings are found: the file, the environment, the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from terrapod_core.settings._convert import Raw, unknown
from terrapod_core.settings._fields import PREFIX, SettingsError, variable
from terrapod_core.settings.schema import SECTIONS, core_fields, core_tables

FILE_NAME = "terrapod.toml"
CONFIG_VARIABLE = "TERRAPOD_CONFIG"
BACKUP_VARIABLE = "TERRAPOD_BACKUP_PASSPHRASE"
"""Of `terrapod backup` and `restore`; no setting, and allowed to be there for every other command."""
CLIENT_VARIABLES = ("TERRAPOD_URL", "TERRAPOD_TOKEN", "TERRAPOD_TOKEN_FILE")
"""Of commands that are clients of a server, likewise."""
COMMAND_LINE = "the command line"

_SERVICE_LINK = re.compile(r"TERRAPOD_(?:[A-Z0-9]+_)*?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP).*)?)")
"""What Kubernetes puts into every pod beside a Service called terrapod or terrapod-something."""

Found = dict[str, Raw]
"""Values by full key: `server.port`, `runner.local.concurrency`."""


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The settings file: the one asked for, else in the working directory, else of the machine; `None` without one.

    `SettingsError` when one that was asked for is not there.
    """
    asked = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if asked is not None:
        if not asked.is_file():
            raise SettingsError(f"there is no settings file {asked}" + ("" if path else f", which {CONFIG_VARIABLE} names"))
        return asked
    return next((each for each in (Path(FILE_NAME), Path("/etc/terrapod") / FILE_NAME) if each.is_file()), None)


def from_file(path: Path) -> Found:
    """What the file says."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    return {key: Raw(value, str(path)) for key, value in _flat(document, "", 3)}


def _flat(table: Mapping[str, object], prefix: str, depth: int) -> list[tuple[str, object]]:
    """Tables within tables as dotted keys, down to `[kind.name]`; a table below that is a plugin's own value.

    A table that is the value of a core setting stays whole: `[auth.role_mapping]` is no plugin's section.
    """
    rows: list[tuple[str, object]] = []
    tables = core_tables()
    for key, value in table.items():
        if isinstance(value, dict) and depth > 1 and prefix + key not in tables:
            rows += _flat(value, f"{prefix}{key}.", depth - 1)
        else:
            rows.append((prefix + key, value))
    return rows


def from_environment(environ: Mapping[str, str]) -> Found:
    """What the variables say; an empty one says nothing, and `NAME_FILE` says what is in the file it names."""
    aliases = {each.alias: key for key, each in core_fields().items() if each.alias}
    names = {variable(key): key for key in core_fields()} | aliases
    found: Found = {}
    for name in sorted(environ):
        if (
            not name.startswith(PREFIX)
            or name in (CONFIG_VARIABLE, BACKUP_VARIABLE, *CLIENT_VARIABLES)
            or not environ[name]
            or _is_service_link(name, environ[name])
        ):
            continue
        plain = name.removesuffix("_FILE") if name not in names else name
        key = names.get(plain) or _plugin_key(plain)
        if key is None:
            raise unknown(name, Raw(environ[name], name, from_variable=True), [*core_fields()])
        if key in found:
            raise SettingsError(f"{found[key].origin} and {name} both set {key}; keep one")
        value = environ[name] if plain == name else _content(name, environ[name])
        found[key] = Raw(value, name, from_variable=True)
    return found


def _is_service_link(name: str, value: str) -> bool:
    if "__" in name or not _SERVICE_LINK.fullmatch(name):
        return False
    return "SERVICE_" in name or re.match(r"(?:tcp|udp|sctp)://", value) is not None or re.search(r"_\d+_", name) is not None


def _plugin_key(name: str) -> str | None:
    """`TERRAPOD_RUNNER__LOCAL__CONCURRENCY` -> `runner.local.concurrency`; `None` when the form is another."""
    parts = name.removeprefix(PREFIX).lower().split("__", 2)
    return ".".join(parts) if len(parts) == 3 and all(parts) else None


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name} names {path}, which cannot be read: {error}") from None


def from_overrides(overrides: Mapping[str, object]) -> Found:
    """What a command's options say; `None` is an option that was not given."""
    return {key: Raw(value, COMMAND_LINE) for key, value in overrides.items() if value is not None}


def split(found: Found) -> tuple[dict[str, Found], dict[tuple[str, str], Found]]:
    """The core's sections ("" for what is in none) and the plugins', each by the names inside it.

    `SettingsError` for a key that cannot be either.
    """
    core: dict[str, Found] = {"": {}, **{name: {} for name in SECTIONS}}
    plugins: dict[tuple[str, str], Found] = {}
    for key, raw in found.items():
        *section, name = key.split(".", 2)
        if not section and name in SECTIONS:
            raise SettingsError(f"{name} in {raw.place()} is a section, not a setting; write [{name}]")
        if not section:
            core[""][name] = raw
        elif len(section) == 1 and section[0] in SECTIONS:
            core[section[0]][name] = raw
        elif len(section) == 2:
            plugins.setdefault((section[0].replace("-", "_"), section[1].replace("-", "_")), {})[name] = raw
        else:
            raise unknown(key, raw, [*core_fields()])
    return core, plugins
