"""What clients may say about a run."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.registry.uses.documents import Uses
from terrapod_core.runner.versions import Wanted

_KEY: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")
MAX_ADDRESSES: Final = 1000
MESSAGE_CHARACTERS: Final = 4096


class RunVariable(msgspec.Struct, frozen=True):
    """A `-var`: its value is an HCL expression, so strings arrive quoted."""

    key: str
    value: str


class CreateRun(msgspec.Struct, kw_only=True):
    """A new run. The CLI never sends `plan_only`: a speculative configuration version says it."""

    workspace: Ref
    configuration_version: Ref | None = None
    message: str | None = None
    auto_apply: bool | None = None
    is_destroy: bool = False
    refresh: bool = True
    refresh_only: bool = False
    plan_only: bool | UnsetType | None = UNSET
    save_plan: bool = False
    allow_empty_apply: bool = False
    allow_config_generation: bool = False
    target_addrs: list[str] | None = None
    replace_addrs: list[str] | None = None
    invoke_action_addrs: list[str] | None = None
    policy_paths: list[str] | None = None
    terraform_version: str | None = None
    variables: list[RunVariable] | None = None

    def check(self) -> None:
        """Raise `Invalid` for what contradicts itself or cannot be honoured here; nothing is accepted and then ignored."""
        problems = Problems()
        if self.is_destroy and self.refresh_only:
            problems.add("a run cannot both destroy and only refresh", attribute="refresh-only")
        if self.refresh_only and not self.refresh:
            problems.add("a run that only refreshes cannot leave out the refresh", attribute="refresh")
        if self.refresh_only and self.replace_addrs:
            problems.add("a run that only refreshes cannot replace resources", attribute="replace-addrs")
        if self.is_destroy and self.replace_addrs:
            problems.add("a destroy run cannot replace resources", attribute="replace-addrs")
        if self.message is not None and len(self.message) > MESSAGE_CHARACTERS:
            problems.add(f"the message is longer than {MESSAGE_CHARACTERS} characters", attribute="message")
        self._check_addresses(problems)
        self._check_version(problems)
        for variable in self.variables or ():
            if not _KEY.match(variable.key):
                problems.add(f"{variable.key!r} is not a variable name", attribute="variables")
        if self.invoke_action_addrs:
            problems.add("actions cannot be invoked by this server yet", attribute="invoke-action-addrs")
        if self.policy_paths:
            problems.add("policies are not evaluated by this server", attribute="policy-paths")
        problems.refuse()

    def _check_addresses(self, problems: Problems) -> None:
        for name, addresses in (("target-addrs", self.target_addrs), ("replace-addrs", self.replace_addrs)):
            if addresses and len(addresses) > MAX_ADDRESSES:
                problems.add(f"at most {MAX_ADDRESSES} addresses can be given", attribute=name)
            for address in addresses or ():
                if not address or address.startswith("-") or any(ord(character) < 32 for character in address):
                    problems.add(f"{address!r} is not a resource address", attribute=name)

    def _check_version(self, problems: Problems) -> None:
        try:
            Wanted.parse(self.terraform_version or "latest")
        except ValueError as error:
            problems.add(str(error), attribute="terraform-version")


class Report(msgspec.Struct, rename="kebab", kw_only=True):
    """How a phase ended, as its runner says."""

    status: str
    has_changes: bool = False
    additions: int = 0
    changes: int = 0
    destructions: int = 0
    imports: int = 0
    state_incomplete: bool = False
    generated_configuration: bool = False
    exit_code: int | None = None
    message: str | None = None
    log_size: int | None = None
    uses: Uses | None = None
    """What the run used of the registry; `None` when the runner does not know."""


class Started(msgspec.Struct, rename="kebab", kw_only=True):
    """Which engine a runner chose."""

    tool: str
    version: str
    platform: str


class Claim(msgspec.Struct, rename="kebab", kw_only=True):
    """Who takes a phase."""

    runner: str
    version: str = ""


def json_of(variables: list[RunVariable]) -> bytes:
    """Run variables as they are kept (sealed by the caller)."""
    return msgspec.json.encode(variables)


def variables_of(raw: bytes) -> list[RunVariable]:
    """Run variables as they were kept."""
    return msgspec.json.decode(raw, type=list[RunVariable])
