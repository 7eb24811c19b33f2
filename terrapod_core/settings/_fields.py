"""What a setting is: a field of a frozen dataclass with a sentence about it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")

PREFIX = "TERRAPOD_"
MASK = "********"

_USERINFO = re.compile(r"(?<=://)([^/:@\s]*):.*@")
_PARAMETER = re.compile(r"(?<=[?&])((?:[a-z_]*password|sslpassword|token)=)[^&]*")


class SettingsError(Exception):
    """A setting is wrong. The text is one line that names the setting and where it came from."""


def setting(
    default: T, doc: str, *, secret: bool = False, in_repr: bool = True, alias: str | None = None, shown_default: str | None = None
) -> T:
    """A field of a settings dataclass.

    `secret` masks it wherever settings are shown; `in_repr=False` is for a URL that may carry a password, of which the rest is
    shown. `alias` is a second environment variable that sets it. `shown_default`
    is what the reference says when the default depends on the machine.
    """
    metadata = {"doc": doc, "secret": secret, "alias": alias, "shown_default": shown_default}
    made: T = dataclasses.field(default=default, repr=in_repr and not secret, metadata=metadata)
    return made


def table(doc: str) -> Any:
    """A field whose value is a table of the file, or a JSON object in the environment; empty without one."""
    metadata = {"doc": doc, "secret": False, "alias": None, "shown_default": None}
    return dataclasses.field(default_factory=dict, metadata=metadata)


def is_table(kind: Any) -> bool:
    """Whether a field of this type takes a table."""
    return get_origin(kind) in (dict, Mapping)


def subsections(doc: str) -> Mapping[str, Any]:
    """A field typed `Mapping[str, SomeDataclass]`: sections below this one, each under a name that the operator gives it.

    `[auth.oidc.providers.okta]` is one of the field `providers`. The dataclass's own fields are made with `setting`.
    """
    made: Mapping[str, Any] = dataclasses.field(default_factory=lambda: MappingProxyType({}), metadata={"doc": doc})
    return made


def subsection_of(kind: Any) -> type[Any] | None:
    """The dataclass that each section of a field made with `subsections` fills; `None` for a field of another type."""
    arguments = get_args(kind)
    if get_origin(kind) is Mapping and len(arguments) == 2 and isinstance(arguments[1], type) and dataclasses.is_dataclass(arguments[1]):
        return arguments[1]
    return None


@dataclass(frozen=True)
class Field:
    """One setting of a dataclass, as the loader and the reference need it."""

    name: str
    type: Any
    default: object
    doc: str
    secret: bool
    alias: str | None
    shown_default: str | None


def fields_of(section: type) -> Iterator[Field]:
    """The settings of a dataclass, in the order it declares them; fields that are dataclasses themselves are left out."""
    hints = get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        if not field.init or dataclasses.is_dataclass(hints[field.name]) or field.metadata.get("internal"):
            continue
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        yield Field(
            name=field.name,
            type=hints[field.name],
            default=default,
            doc=field.metadata.get("doc", ""),
            secret=bool(field.metadata.get("secret")),
            alias=field.metadata.get("alias"),
            shown_default=field.metadata.get("shown_default"),
        )


def variable(key: str) -> str:
    """The environment variable of a setting: `runner.local.concurrency` is `TERRAPOD_RUNNER__LOCAL__CONCURRENCY`."""
    return PREFIX + key.replace("-", "_").replace(".", "__").upper()


def masked(value: object, *, secret: bool) -> str:
    """A value as people may see it: a secret hidden whole, of a URL only the password."""
    if value is dataclasses.MISSING:
        return "none: it must be set"
    if value is None or value == "" or value == () or value == {}:
        return ""
    if secret:
        return MASK
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return msgspec.json.encode(_masked_table(value)).decode()
    if isinstance(value, (tuple, list)):
        return ", ".join(masked(item, secret=False) for item in value)
    return _PARAMETER.sub(rf"\g<1>{MASK}", _USERINFO.sub(rf"\g<1>:{MASK}@", str(value)))


def sounds_secret(name: str) -> bool:
    """Whether a plugin's setting is masked by its name alone, before the plugin could say so."""
    return re.search(r"secret|password|passphrase|token|key|credential|private", name.lower()) is not None


def _masked_table(table: Mapping[Any, Any]) -> dict[str, Any]:
    """A table with its texts as people may see them; those whose names sound secret are hidden."""
    shown: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            shown[str(name)] = _masked_table(value)
        elif isinstance(value, (bool, int, float, tuple, list)):
            shown[str(name)] = value
        else:
            shown[str(name)] = masked(value, secret=sounds_secret(str(name)))
    return shown
