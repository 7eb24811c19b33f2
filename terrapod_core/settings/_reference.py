"""The table of settings that the documentation prints."""

from __future__ import annotations

from typing import NamedTuple

from terrapod_core.settings._convert import wording
from terrapod_core.settings._fields import Field, fields_of, masked, variable
from terrapod_core.settings.schema import core_fields


class Reference(NamedTuple):
    """One setting, described."""

    key: str
    type: str
    default: str
    env: str
    doc: str


def _describe(key: str, field: Field) -> Reference:
    default = field.shown_default if field.shown_default is not None else masked(field.default, secret=field.secret)
    return Reference(key, wording(field.type), default, field.alias or variable(key), field.doc)


def reference() -> list[Reference]:
    """Every setting of the core."""
    return [_describe(key, field) for key, field in core_fields().items()]


def reference_of(section: type, prefix: str) -> list[Reference]:
    """Every setting of a plugin's dataclass; `prefix` is its section with its dot: `runner.local.`."""
    return [_describe(prefix + field.name, field) for field in fields_of(section)]
