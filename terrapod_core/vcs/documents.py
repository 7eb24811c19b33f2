"""What clients send about connections, and what of it is refused.

Which attributes a connection has beside its own is up to the provider's fields, so that a document is read with those at hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from terrapod_core.errors import Invalid, Problems
from terrapod_core.plugin import Field, VCSProvider

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,89}")
LONGEST: Final = 16 * 1024
"""Characters of one value; a private key in PEM has some three thousand."""
MOST_NAMES: Final = 100
LONGEST_URL: Final = 512
OWN: Final = ("name", "provider", "base-url", "repositories", "roles")
"""Attributes of every connection."""


@dataclass
class Sent:
    """What a document says; `None` for what it does not."""

    name: str | None = None
    base_url: str | None = None
    service_provider: str | None = None
    repositories: list[str] | None = None
    roles: list[str] | None = None
    project_ids: list[str] | None = None
    organization_scoped: bool | None = None
    api_url: str | None = None
    values: dict[str, str | None] = field(default_factory=dict)
    """The provider's fields, by name; `None` takes one away."""


def provider_of(attributes: Mapping[str, Any], providers: Mapping[str, VCSProvider]) -> VCSProvider:
    """The provider that a document for a new connection names. Raises `Invalid`."""
    name = attributes.get("provider")
    if isinstance(name, str) and name in providers:
        return providers[name]
    known = ", ".join(sorted(providers)) or "none: install a VCS plugin, as terrapod-vcs-github"
    raise Invalid(f"provider must be one of those that this server has ({known})", pointer="/data/attributes/provider")


def read(attributes: Mapping[str, Any], provider: VCSProvider) -> Sent:
    """The document's attributes, by their names on the wire. Raises `Invalid` with everything that is wrong by itself."""
    problems = Problems()
    sent = Sent(
        name=_text(attributes, "name", problems),
        base_url=_base_url(attributes, problems),
        repositories=_names(attributes, "repositories", problems),
        roles=_names(attributes, "roles", problems),
    )
    if sent.name is not None and NAME.fullmatch(sent.name) is None:
        problems.add("Name must have 1 to 90 letters, digits, blanks, dots, - and _, and begin with a letter or digit", attribute="name")
    for each in provider.fields:
        if each.name in attributes:
            sent.values[each.name] = _value(each, attributes[each.name], problems)
    problems.refuse()
    return sent


def _text(attributes: Mapping[str, Any], name: str, problems: Problems) -> str | None:
    value = attributes.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        problems.add(f"{name} must be a string", attribute=name)
        return None
    return value.strip()


def _names(attributes: Mapping[str, Any], name: str, problems: Problems) -> list[str] | None:
    value = attributes.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST_NAMES or not all(isinstance(each, str) and 0 < len(each) <= 256 for each in value):
        problems.add(f"{name} must be a list of at most {MOST_NAMES} names, each of 1 to 256 characters", attribute=name)
        return None
    return sorted(set(value))


def _base_url(attributes: Mapping[str, Any], problems: Problems) -> str | None:
    text = _text(attributes, "base-url", problems)
    if not text:
        return text
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("https", "http", "ssh") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or parts.query or parts.fragment or parts.password or len(text) > LONGEST_URL or not text.isprintable() or " " in text:
        problems.add("base-url must be the address of the forge, as https://git.example.com, without a password", attribute="base-url")
        return None
    return text.rstrip("/")


def _value(wanted: Field, value: object, problems: Problems) -> str | None:
    """A field's value as providers are given it."""
    if value is None or value == "":
        return None
    if wanted.number and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or (wanted.number and not value.isdecimal()):
        problems.add(f"{wanted.name} must be {'a whole number' if wanted.number else 'a string'}", attribute=wanted.name)
        return None
    text = value.strip()
    if len(text) > LONGEST or "\0" in text or (not wanted.lines and not text.isprintable()):
        problems.add(
            f"{wanted.name} has {'more than ' + str(LONGEST) if len(text) > LONGEST else 'unprintable'} characters", attribute=wanted.name
        )
        return None
    return text


def check_fields(fields: Sequence[Field], values: Mapping[str, str]) -> None:
    """Raise `Invalid` for required fields that are missing."""
    problems = Problems()
    for each in fields:
        if each.required and not values.get(each.name):
            problems.add(f"{each.name} is needed: {each.help or each.title}", attribute=each.name)
    problems.refuse()
