"""What clients send about modules and their versions, and what is wrong with it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.errors import Invalid, Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.registry.documents import UpdateItem
from terrapod_core.registry.modules.models import Module
from terrapod_core.registry.modules.tag_names import module_of
from terrapod_core.registry.names import LONGEST, namespace_of, registry_name

NAME: Final = re.compile(r"[0-9A-Za-z]([0-9A-Za-z_-]{0,62}[0-9A-Za-z])?")
PROVIDER: Final = re.compile(r"[0-9a-z]{1,64}")
"""As terraform reads both out of a source address."""

_UNAVAILABLE: Final[dict[str, str]] = {
    "no_code": "No-code provisioning is not offered here",
    "test_config": "Module tests are not run here",
}


class UpdateModule(UpdateItem, kw_only=True):
    """What may be sent about a module; what is absent stays as it is."""

    name: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    namespace: str | UnsetType | None = UNSET

    vcs_repo: Any = UNSET
    vcs_repo_url: str | UnsetType | None = UNSET
    vcs_connection: Ref | UnsetType | None = UNSET

    # Parts of the API that this server has no part for: an absent, null, false or empty value says nothing and passes.
    no_code: Any = None
    test_config: Any = None

    def check(self, module: Module) -> None:
        """Raise `Invalid` for another name than the module's, and for what this server has no part for."""
        problems = Problems()
        for name in ("name", "provider", "namespace"):
            if getattr(self, name) not in (UNSET, None, getattr(module, name)):
                problems.add(f"A module keeps its {name}: configurations name it; make another module", attribute=name)
        self.note_unavailable(problems)
        problems.refuse()

    def note_unavailable(self, problems: Problems) -> None:
        """Note what this server has no part for."""
        for name, problem in _UNAVAILABLE.items():
            if getattr(self, name):
                problems.add(problem, attribute=name.replace("_", "-"))


class CreateModule(UpdateModule, kw_only=True):
    """The same for a new one."""

    name: str
    provider: str
    namespace: str | None = None
    """`None` for the organization's."""
    registry_name: str | None = None

    def checked_namespace(self) -> str:
        """The namespace; raises `Invalid` with everything that is wrong with the document."""
        problems = Problems()
        registry_name(self.registry_name, problems)
        namespace = namespace_of(self.namespace, problems)
        if NAME.fullmatch(self.name) is None:
            problems.add(
                f"Name must have at most {LONGEST} letters and digits, with - and _ between them",
                attribute="name",
            )
        if PROVIDER.fullmatch(self.provider) is None:
            problems.add(f"Provider must have 1 to {LONGEST} lower-case letters and digits", attribute="provider")
        self.note_unavailable(problems)
        problems.refuse()
        return namespace


class ConnectModule(UpdateModule, kw_only=True):
    """The same for one whose versions are its repository's tags, which may name it."""

    registry_name: str | None = None
    initial_version: str | None = None

    def named(self, path: str) -> CreateModule:
        """The module that is to be made, for a repository of this path. Raises `Invalid` when nothing says what it is called."""
        name, provider = (each if each not in (UNSET, "") else None for each in (self.name, self.provider))
        of_path = module_of(path)
        if of_path is None and not (name and provider):
            raise Invalid(
                f"{path} is not called terraform-<provider>-<name>, so that name and provider must be sent", pointer="/data/attributes/name"
            )
        found = CreateModule(
            name=name or (of_path[0] if of_path else ""),
            provider=provider or (of_path[1] if of_path else ""),
            namespace=None if self.namespace is UNSET else self.namespace,
            registry_name=self.registry_name,
        )
        for field in ("labels", "force", "owner", "publishers", "tag_bindings", "no_code", "test_config"):
            setattr(found, field, getattr(self, field))
        return found


class CreateVersion(msgspec.Struct, kw_only=True):
    """What makes a version, which then waits for its archive."""

    version: str
    commit_sha: str | None = None
    """go-tfe sends it for versions that come from version control; what is uploaded has none."""
