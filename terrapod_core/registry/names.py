"""What things in the registry may be called. terraform reads these names out of source addresses, so its rules hold too."""

from __future__ import annotations

import re
from typing import Final

from terrapod_core import organizations
from terrapod_core.errors import Problems

RESERVED: Final = frozenset({"private", "public"})
"""Namespaces that nothing can have: as the first part of a management path these words say which registry is meant."""

LONGEST: Final = 64
NAMESPACE: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""What is good in the address of a module and in that of a provider, which terraform folds to lower case."""


def namespace_of(sent: str | None, problems: Problems) -> str:
    """The namespace that a document names, the organization's when it names none."""
    if sent is None or sent == "":
        return organizations.NAME
    if sent in RESERVED:
        problems.add(f"The namespace {sent} is reserved; leave it out, or choose another", attribute="namespace")
    elif len(sent) > LONGEST or NAMESPACE.fullmatch(sent) is None:
        problems.add(
            f"Namespace must have at most {LONGEST} lower-case letters, digits and single dashes between them", attribute="namespace"
        )
    return sent


def registry_name(sent: str | None, problems: Problems) -> None:
    """Note a `registry-name` that is not this registry's."""
    if sent not in (None, "", "private"):
        problems.add(
            "registry-name must be private: what others publish in public is not listed here, configurations name it directly",
            attribute="registry-name",
        )
