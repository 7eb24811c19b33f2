"""The table of settings that the documentation prints."""

from __future__ import annotations

from typing import NamedTuple

from terrapod_core.settings._convert import wording
from terrapod_core.settings._fields import Field, fields_of, masked, subsection_of, variable
from terrapod_core.settings.schema import core_fields

A_NAME = "NAME"
"""Stands for a name that the operator gives."""


class Reference(NamedTuple):
    """One setting, described."""

    key: str
    type: str
    default: str
    env: str
    doc: str


def _describe(key: str, field: Field) -> Reference:
    if subsection_of(field.type) is not None:
        return Reference(key, wording(field.type), "", f"{variable(f'{key}.{A_NAME}')}__…", field.doc)
    default = field.shown_default if field.shown_default is not None else masked(field.default, secret=field.secret)
    return Reference(key, wording(field.type), default, field.alias or variable(key), field.doc)


def reference() -> list[Reference]:
    """Every setting of the core."""
    return [_describe(key, field) for key, field in core_fields().items()]


def reference_of(section: type, prefix: str) -> list[Reference]:
    """Every setting of a plugin's dataclass; `prefix` is its section with its dot: `runner.local.`.

    Those of sections below it come last, under the word that stands for such a section's name: `auth.oidc.providers.NAME.issuer`.
    """
    fields = list(fields_of(section))
    rows = [_describe(prefix + field.name, field) for field in fields]
    for field in fields:
        below = subsection_of(field.type)
        if below is not None:
            rows += reference_of(below, f"{prefix}{field.name}.{A_NAME}.")
    return rows
