"""What clients may send about a variable, and what of it is refused."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.settings import Settings
from terrapod_core.variables.models import Category

MAX_KEY: Final = 128
MAX_VALUE: Final = 256 * 1024
MAX_ENV: Final = 128 * 1024 - 2
"""Linux takes 128 KiB for one string of a program's environment: the key, an equals sign, the value and a zero. This is left for both."""

MAX_DESCRIPTION: Final = 512

ENV_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

REFUSED: Final = frozenset(
    {"PATH", "HOME", "TMPDIR", "TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG", "TF_DATA_DIR", "TF_REATTACH_PROVIDERS", "TF_WORKSPACE"}
)
REFUSED_PREFIXES: Final = ("LD_", "DYLD_", "TERRAPOD_", "ATLAS_", "TF_HTTP_")
"""Environment variables that would take terraform, its plugins or its state away from the run. The runner drops them too."""


class UpdateVariable(msgspec.Struct, kw_only=True):
    """What may be sent; what is absent stays as it is. A `null` value is the empty one, or for a sensitive variable no change."""

    key: str | UnsetType = UNSET
    value: str | UnsetType | None = UNSET
    category: str | UnsetType = UNSET
    hcl: bool | UnsetType | None = UNSET
    sensitive: bool | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class CreateVariable(UpdateVariable, kw_only=True):
    """The same for a new one, which needs a key and a category. `workspace` is for the old path `/vars`."""

    key: str
    category: str
    workspace: Ref | UnsetType | None = UNSET


def own_tokens(settings: Settings) -> frozenset[str]:
    """The environment variables in which terraform looks for a token of this very server (`TF_TOKEN_tfe_example_com`)."""
    urls = (settings.external_url, settings.runner.url)
    hosts = {"localhost", "127.0.0.1", settings.server.host, *(urlsplit(url).hostname or "" for url in urls if url)}
    return frozenset("TF_TOKEN_" + host.replace("-", "__").replace(".", "_") for host in hosts if host)


def check(key: str, category: str, value: str, description: str | None, own_tokens: frozenset[str], *, hcl: bool = False) -> None:
    """Raise `Invalid` with everything that is wrong with a variable as it would be.

    `own_tokens` are the names under which terraform looks for a token of this very server.
    """
    problems = Problems()
    if category not in tuple(Category):
        problems.add("Category must be terraform or env", attribute="category")
    elif len(key) > MAX_KEY:
        problems.add(f"Key must have at most {MAX_KEY} characters", attribute="key")
    elif not _is_key(key, Category(category)):
        problems.add("Key is invalid", attribute="key")
    elif category == Category.ENV and (key in REFUSED or key.startswith(REFUSED_PREFIXES) or key in own_tokens):
        problems.add(f"Key {key} is the run's own environment and cannot be set", attribute="key")
    if hcl and category == Category.ENV:
        problems.add("An environment variable is text; only terraform variables can be HCL expressions", attribute="hcl")
    if len(value.encode()) > MAX_VALUE:
        problems.add(f"Value must have at most {MAX_VALUE // 1024} KiB", attribute="value")
    elif category == Category.ENV and len(key.encode()) + len(value.encode()) > MAX_ENV:
        problems.add(f"Key and value of an environment variable must have at most {MAX_ENV} bytes together", attribute="value")
    if description is not None and len(description) > MAX_DESCRIPTION:
        problems.add(f"Description must have at most {MAX_DESCRIPTION} characters", attribute="description")
    problems.refuse()


def _is_key(key: str, category: Category) -> bool:
    """An identifier of HCL (letters of any script, digits, `_`, `-`), or a name that a process's environment takes."""
    if category is Category.ENV:
        return ENV_KEY.fullmatch(key) is not None
    return not key.startswith("-") and key.replace("-", "_").isidentifier()
