"""The form of a VCS connection, made from the fields of its provider. Secrets go in and never come out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from terrapod_core.errors import TerrapodError
from terrapod_core.plugin import Field, VCSProvider
from terrapod_core.ui.connection_views import ConnectionForm, FormField

OWN: Final = ("name", "base-url", "repositories", "roles")
VALUE: Final = "value-"
"""Before the names of the provider's fields, so that none has that of another field."""
REMOVE: Final = "remove-"
ATTRIBUTES: Final = "/data/attributes/"


def attributes(provider: VCSProvider, fields: Mapping[str, str], *, changes: bool) -> dict[str, Any]:
    """What the form says, as the API's document would. Of a connection that is there, a secret that is left empty stays."""
    said: dict[str, Any] = {
        "name": fields.get("name", "").strip(),
        "provider": provider.name,
        "base-url": fields.get("base-url", "").strip(),
        "repositories": names(fields.get("repositories", "")) or ["*"],
        "roles": names(fields.get("roles", "")),
    }
    for each in provider.fields:
        text = fields.get(VALUE + each.name, "").replace("\r\n", "\n").strip()
        if text or not (each.secret and changes):
            said[each.name] = text
        elif fields.get(REMOVE + each.name):
            said[each.name] = None
    return said


def names(text: str) -> list[str]:
    """What people write into one field with commas, blanks or on lines of their own."""
    return text.replace(",", " ").split()


def problems(error: TerrapodError, known: Collection[str]) -> dict[str, str]:
    """What is wrong, by the field that it is about; what is about none of the `known` ones stands under the empty name."""
    told: dict[str, str] = {}
    for problem in error.problems:
        name = (problem.pointer or "").removeprefix(ATTRIBUTES)
        name = name if name in known else ""
        told[name] = f"{told[name]}; {problem.detail}" if name in told else problem.detail
    return told


def blank(provider: VCSProvider) -> ConnectionForm:
    """The form of a new connection."""
    typed = {**dict.fromkeys(OWN, ""), "repositories": "*"}
    return ConnectionForm(provider.name, provider.display_name, provider.default_url, [FormField(each) for each in provider.fields], typed)


def filled(
    provider: VCSProvider,
    typed: Mapping[str, str],
    values: Mapping[str, str],
    kept: Collection[str] = (),
    problem: TerrapodError | None = None,
    connection_id: str | None = None,
) -> ConnectionForm:
    """The form with what was typed into it, or what the connection has; `kept` are the names of secrets that are there."""
    known = {*OWN, *(each.name for each in provider.fields)}
    return ConnectionForm(
        provider.name,
        provider.display_name,
        provider.default_url,
        [_field(each, values, kept) for each in provider.fields],
        {name: typed.get(name, "") for name in OWN},
        problems(problem, known) if problem is not None else {},
        connection_id,
    )


def sent_values(fields: Mapping[str, str]) -> dict[str, str]:
    """What was typed into the provider's fields."""
    return {name.removeprefix(VALUE): text for name, text in fields.items() if name.startswith(VALUE)}


def _field(field: Field, values: Mapping[str, str], kept: Collection[str]) -> FormField:
    return FormField(field, "" if field.secret else values.get(field.name, ""), field.secret and field.name in kept)
