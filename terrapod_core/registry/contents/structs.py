"""What is known of a module from its archive, as it is stored and served: member names are those of the API."""

from __future__ import annotations

from typing import Any

import msgspec


class _Member(msgspec.Struct, rename="kebab"):
    pass


class Input(_Member):
    """A variable. Expressions are configuration text as the author wrote it, whose indentation alone was changed."""

    name: str
    type: str | None = None
    """`None` where none is given: any type."""
    description: str | None = None
    required: bool = True
    default: str | None = None
    """The expression; `None` for a required one."""
    value: Any = msgspec.UNSET
    """The default in the terms of JSON; not there when it has none, or none that can be known without evaluating it."""
    sensitive: bool = False
    nullable: bool = True
    ephemeral: bool = False
    deprecated: str | None = None
    """What the author says to those who set it."""
    validations: int = 0
    """How many rules its value must pass."""


class Output(_Member):
    """An output value."""

    name: str
    description: str | None = None
    sensitive: bool = False
    ephemeral: bool = False


class Resource(_Member):
    """A resource that the module manages, or (`mode` is `data`) reads."""

    mode: str
    type: str
    name: str


class Provider(_Member):
    """A provider that the module needs."""

    name: str
    """As the module calls it."""
    source: str | None = None
    """`None` where the module does not say: terraform takes that of `hashicorp`."""
    version: str | None = None
    """The constraint."""
    aliases: list[str] = []
    """Further configurations of it that the caller must hand over, as `aws.replica`."""


class Call(_Member):
    """A module that is called."""

    name: str
    source: str | None = None
    version: str | None = None


class Readme(_Member):
    """What the author says about a module."""

    file: str
    """Its path in the module's archive."""
    text: str
    html: str
    """The same rendered: fit to be put into a page as it is."""


class Configuration(_Member):
    """One directory of configuration: the module, one of its submodules, or an example."""

    path: str
    """From the module's root, as `modules/network`; empty for the module itself."""
    readme: Readme | None = None
    required_version: list[str] = []
    """Constraints of terraform's version; all of them hold."""
    inputs: list[Input] = []
    outputs: list[Output] = []
    resources: list[Resource] = []
    providers: list[Provider] = []
    calls: list[Call] = []


class Licence(_Member):
    """The terms of a module."""

    file: str
    """Its path in the module's archive."""
    spdx: str | None = None
    """The identifier that the text looks like, as `MPL-2.0`; `None` when it looks like none that is known."""


class Problem(_Member):
    """A file that could not be understood, or only in part. Nobody is kept from using the module for it."""

    file: str
    detail: str


class ModuleContents(_Member):
    """Everything."""

    wrapper: str
    """The directory of the archive that the module is in; empty when it is at the root. Where it is not, an address of the
    archive has to go on with `//` and this for terraform to find the module."""
    module: Configuration
    submodules: list[Configuration] = []
    """In order of their paths, as are the examples."""
    examples: list[Configuration] = []
    licence: Licence | None = None
    problems: list[Problem] = []
