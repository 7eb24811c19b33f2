"""One directory's files of configuration, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from . import json_syntax, native
from .structs import Call, Configuration, Input, Output, Provider, Resource
from .syntax import Block, Expression, NotConfiguration, Unknown

DEFAULT_CHARACTERS: Final = 64 * 1024
"""A default that is longer is left out of its input, which stays one that need not be set."""
_RESOURCES: Final = {"resource": "managed", "data": "data", "ephemeral": "ephemeral"}
_BUILT_IN: Final = "terraform"
"""The local name of the provider that terraform itself is."""


def parse(name: str, content: bytes) -> list[Block]:
    """The blocks of a file of this name. Raises `NotConfiguration`."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise NotConfiguration("it is not UTF-8") from None
    return json_syntax.parse(text) if name.endswith(".json") else native.parse(text)


def in_order(names: list[str]) -> list[str]:
    """Files as they are read: those that override others last, and nothing of OpenTofu's that terraform has a twin of."""
    chosen = {name for name in names if not (".tofu" in name and name.replace(".tofu", ".tf") in names)}
    return sorted(chosen, key=lambda name: (_overrides(name), name))


def _overrides(name: str) -> bool:
    stem = name.partition(".")[0]
    return stem == "override" or stem.endswith("_override")


def describe(path: str, files: Mapping[str, list[Block]]) -> Configuration:
    """What the blocks say, by the names of their files; `path` is the directory's."""
    blocks = _merged(files)
    settings = [block for block in blocks if block.type == "terraform"]
    resources = sorted(_resources(blocks), key=lambda resource: (resource.mode != "managed", resource.type, resource.name))
    return Configuration(
        path=path,
        required_version=[text for block in settings if (text := _text(block, "required_version")) is not None],
        inputs=sorted((_input(block) for block in _named(blocks, "variable")), key=lambda each: each.name),
        outputs=sorted((_output(block) for block in _named(blocks, "output")), key=lambda output: output.name),
        resources=resources,
        providers=_providers(settings, blocks),
        calls=[
            Call(name=block.labels[0], source=_text(block, "source"), version=_text(block, "version")) for block in _named(blocks, "module")
        ],
    )


def _merged(files: Mapping[str, list[Block]]) -> list[Block]:
    """All blocks; what overrides changes the attributes of the block that it names, as terraform does it."""
    known: dict[tuple[str, ...], Block] = {}
    blocks: list[Block] = []
    for name, found in files.items():
        for block in found:
            key = (block.type, *block.labels)
            if _overrides(name) and key in known and block.labels:
                known[key].attributes |= block.attributes
            else:
                known.setdefault(key, block)
                blocks.append(block)
    return blocks


def _named(blocks: list[Block], type_: str) -> Iterator[Block]:
    return (block for block in blocks if block.type == type_ and len(block.labels) == 1)


def _text(block: Block, name: str) -> str | None:
    expression = block.attributes.get(name)
    return expression.string() if expression is not None else None


def _flag(block: Block, name: str, usual: bool = False) -> bool:
    expression = block.attributes.get(name)
    value = expression.boolean() if expression is not None else None
    return usual if value is None else value


def _input(block: Block) -> Input:
    type_ = block.attributes.get("type")
    default = block.attributes.get("default")
    text, value = _default(default) if default is not None else (None, msgspec.UNSET)
    return Input(
        name=block.labels[0],
        type=type_.reference if type_ is not None else None,
        description=_text(block, "description"),
        required=default is None,
        default=text,
        value=value,
        sensitive=_flag(block, "sensitive"),
        nullable=_flag(block, "nullable", usual=True),
        ephemeral=_flag(block, "ephemeral"),
        deprecated=_text(block, "deprecated"),
        validations=sum(1 for _ in block.all("validation")),
    )


def _default(expression: Expression) -> tuple[str | None, Any]:
    text = expression.text
    if len(text) > DEFAULT_CHARACTERS:
        return None, msgspec.UNSET
    try:
        return text, expression.value()
    except Unknown:
        return text, msgspec.UNSET


def _output(block: Block) -> Output:
    return Output(
        name=block.labels[0],
        description=_text(block, "description"),
        sensitive=_flag(block, "sensitive"),
        ephemeral=_flag(block, "ephemeral"),
    )


def _resources(blocks: list[Block]) -> Iterator[Resource]:
    for block in blocks:
        if block.type in _RESOURCES and len(block.labels) == 2:
            yield Resource(mode=_RESOURCES[block.type], type=block.labels[0], name=block.labels[1])


def _providers(settings: list[Block], blocks: list[Block]) -> list[Provider]:
    """Those that are required, and those that resources need without its being said."""
    found: dict[str, Provider] = {}
    for block in settings:
        for required in block.all("required_providers"):
            found |= {name: _provider(name, expression) for name, expression in required.attributes.items()}
    for block in blocks:
        if block.type in _RESOURCES and len(block.labels) == 2 and (name := _needed_by(block)) != _BUILT_IN:
            found.setdefault(name, Provider(name=name))
    return [found[name] for name in sorted(found)]


def _needed_by(block: Block) -> str:
    given = block.attributes.get("provider")
    return (given.reference if given is not None else block.labels[0].partition("_")[0]).partition(".")[0]


def _provider(name: str, expression: Expression) -> Provider:
    members = expression.items()
    if not members:  # as before Terraform 0.13: the constraint alone
        return Provider(name=name, version=expression.string())
    string: Callable[[str], str | None] = lambda key: members[key].string() if key in members else None  # noqa: E731
    aliases = members["configuration_aliases"].elements() if "configuration_aliases" in members else []
    return Provider(name=name, source=string("source"), version=string("version"), aliases=[alias.reference for alias in aliases])
