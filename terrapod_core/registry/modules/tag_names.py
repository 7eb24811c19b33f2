"""What tags and repositories are called, and what that says of versions and modules. Pure."""

from __future__ import annotations

import re
from typing import Final

from terrapod_core.packages.versions import SemanticVersion

_REPOSITORY: Final = re.compile(r"terraform-([0-9a-z]+)-(.+)")


def version_of(tag: str, prefix: str) -> SemanticVersion | None:
    """The version that a tag names: the module's prefix, a `v` or none, and a semantic number; `None` for any other tag."""
    if not tag.startswith(prefix):
        return None
    rest = tag[len(prefix) :]
    return SemanticVersion.parse(rest.removeprefix("v"))


def module_of(path: str) -> tuple[str, str] | None:
    """The name and the provider of a module whose repository is called `terraform-<provider>-<name>`; `None` for another one."""
    found = _REPOSITORY.fullmatch(path.rpartition("/")[2])
    return (found[2], found[1]) if found is not None else None
