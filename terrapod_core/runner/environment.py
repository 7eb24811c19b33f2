"""The engine's environment: nothing of ours but what is listed here, and the workspace's own variables."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .order import Material, Variable

REFUSED = frozenset(
    {"PATH", "HOME", "TMPDIR", "TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG", "TF_DATA_DIR", "TF_REATTACH_PROVIDERS", "TF_WORKSPACE"}
)
REFUSED_PREFIXES = ("LD_", "DYLD_", "TERRAPOD_", "ATLAS_", "TF_HTTP_")
"""Names that would take the engine, its configuration or its state away from the runner."""

REFUSED_FLAGS = frozenset(
    {"out", "state", "state-out", "backup", "json", "chdir", "backend", "backend-config", "migrate-state", "plugin-dir", "from-module"}
)
"""Flags in `TF_CLI_ARGS*` that would divert the plan, the state or the log; the others (`-parallelism=30`) work."""
SWITCHES = frozenset({"json", "backend", "migrate-state"})
"""Those among them that take no value as a word of its own."""

TOKEN_PREFIX = "TF_TOKEN_"  # noqa: S105 - the beginning of a name

CERTIFICATE_DIRS = "/etc/ssl/certs:/etc/pki/tls/certs"
"""Where programs written in Go look, beside one file, until they are told otherwise."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def engine_path(own: Mapping[str, str]) -> str:
    """`PATH` for the engine and for finding it: the one this program was started with."""
    return own.get("PATH") or DEFAULT_PATH


def base(own: Mapping[str, str], *, home: Path, temporary: Path, cli_config: Path) -> dict[str, str]:
    """What every engine command gets, also those that read the plan and get no variables of the workspace."""
    environment = {
        "PATH": engine_path(own),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_CLI_CONFIG_FILE": str(cli_config),
    }
    if "SSL_CERT_FILE" in own:
        environment["SSL_CERT_FILE"] = own["SSL_CERT_FILE"]
    return environment


def trusting(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """The variable by which the engine trusts the certificates in a directory, beside those it trusts anyway."""
    return {"SSL_CERT_DIR": f"{directory}:{environment.get('SSL_CERT_DIR') or CERTIFICATE_DIRS}"}


def run_facts(material: Material) -> dict[str, str]:
    """Names HCP Terraform gives a run, as environment and for a configuration that declares them as variables."""
    facts = {
        "TFC_RUN_ID": material.run_id,
        "TFC_WORKSPACE_NAME": material.workspace_name,
        "TFC_WORKSPACE_SLUG": f"{material.organization}/{material.workspace_name}",
        "TFC_PROJECT_NAME": material.project_name,
    }
    return facts | {f"TF_VAR_{name}": value for name, value in facts.items()}


def of_workspace(variables: Iterable[Variable], url: str, hosts: Iterable[str] = ()) -> tuple[dict[str, str], list[str]]:
    """The workspace's environment variables that may pass, and a line for each that may not.

    `url` is the server's as the runner reaches it, `hosts` are the names that configurations have for it.
    """
    passed: dict[str, str] = {}
    notes: list[str] = []
    own_names = {urlsplit(url).hostname or "", *hosts}
    for variable in variables:
        key, value = variable.key, variable.value
        if not key or "=" in key or "\0" in key + value:
            notes.append(f"Warning: the environment variable {key!r} cannot be set and was left out.")
        elif key in REFUSED or key.startswith(REFUSED_PREFIXES) or _host_of_token(key) in own_names:
            notes.append(f"Warning: the environment variable {key} is the runner's own and was left out.")
        elif key == "TF_CLI_ARGS" or key.startswith("TF_CLI_ARGS_"):
            passed[key], dropped = _allowed_flags(value)
            notes += (f"Warning: `{flag}` in {key} is the runner's own and was left out." for flag in dropped)
        else:
            passed[key] = value
    return passed, notes


def _host_of_token(key: str) -> str | None:
    """The host for which the engine takes a variable's value as a token, before any of its configuration; `None` for other variables."""
    if not key.startswith(TOKEN_PREFIX):
        return None
    return key.removeprefix(TOKEN_PREFIX).replace("__", "-").replace("_", ".").lower()


def _allowed_flags(value: str) -> tuple[str, list[str]]:
    try:
        words = shlex.split(value)
    except ValueError:
        return value, []  # the engine explains the missing quote better
    kept: list[str] = []
    dropped: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in REFUSED_FLAGS:
            kept.append(word)
            continue
        dropped.append(f"-{name}")
        if not equals and name not in SWITCHES:
            next(rest, None)  # the flag's value, as a word of its own
    return (shlex.join(kept), dropped) if dropped else (value, [])
