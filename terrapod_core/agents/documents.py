"""What clients send about pools, join tokens and listeners, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.authz import labels
from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Ref

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,90}")
LISTENER_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}")
"""A host's name will do."""
SERVICE_ACCOUNT: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
"""As Kubernetes names things: a DNS subdomain."""
MOST_USES: Final = 1000
MOST_CAPACITY: Final = 1000
LONGEST_VERSION: Final = 64
LONGEST_CSR: Final = 16 * 1024

_NO_LIMITS: Final = "Pools are open to all workspaces here; a pool for some of them alone is not possible yet"


class UpdatePool(msgspec.Struct, kw_only=True):
    """What may be sent about a pool; what is absent stays as it is."""

    name: str | UnsetType = UNSET
    service_account_name: str | UnsetType | None = UNSET
    labels: dict[str, str | None] | UnsetType | None = UNSET
    organization_scoped: bool | UnsetType | None = UNSET
    allowed_workspaces: list[Ref] | UnsetType = UNSET
    allowed_projects: list[Ref] | UnsetType = UNSET
    excluded_workspaces: list[Ref] | UnsetType = UNSET

    def check(self) -> None:
        """Raise `Invalid` for what cannot be."""
        problems = Problems()
        if self.name is not UNSET and NAME.fullmatch(self.name) is None:
            problems.add("Name must have 1 to 90 letters, digits, - and _", attribute="name")
        if isinstance(self.service_account_name, str) and not SERVICE_ACCOUNT.fullmatch(self.service_account_name or "default"):
            problems.add(
                "Service account name must be one of Kubernetes: lower-case letters, digits, - and .", attribute="service-account-name"
            )
        _check_labels(self.labels or {}, problems)
        if self.organization_scoped is False:
            problems.add(_NO_LIMITS, attribute="organization-scoped")
        for name in ("allowed_workspaces", "allowed_projects", "excluded_workspaces"):
            if getattr(self, name):  # an empty list takes away what is not there
                problems.add(_NO_LIMITS, relationship=name.replace("_", "-"))
        problems.refuse()


class CreatePool(UpdatePool, kw_only=True):
    """The same for a new one, which needs a name."""

    name: str


class CreatePoolToken(msgspec.Struct, kw_only=True):
    """What makes a join token."""

    description: str | None = None
    uses: int = 1
    """How many listeners may join with it."""
    expired_at: datetime | None = None
    """`None` for an hour from now."""


class JoinListener(msgspec.Struct, kw_only=True):
    """What a listener that joins says of itself."""

    name: str
    csr: str
    """A certificate signing request in PEM; of what is in it, the key alone counts."""
    version: str
    capacity: int = 1

    def check(self) -> None:
        """Raise `Invalid` for what cannot be; the request's own key is checked by `authority`."""
        problems = Problems()
        if LISTENER_NAME.fullmatch(self.name) is None:
            problems.add("Name must have 1 to 253 letters, digits, -, _ and .", attribute="name")
        if len(self.csr) > LONGEST_CSR:
            problems.add(f"The signing request must have at most {LONGEST_CSR} characters", attribute="csr")
        _check_report(self.version, self.capacity, problems)
        problems.refuse()


class Heartbeat(msgspec.Struct, kw_only=True):
    """What a listener tells again and again; what is absent stays as it is."""

    version: str | UnsetType = UNSET
    capacity: int | UnsetType = UNSET
    status: str | UnsetType = UNSET
    """`exited` when it leaves for good."""

    def check(self) -> None:
        """Raise `Invalid` for what cannot be."""
        problems = Problems()
        _check_report(self.version, self.capacity, problems)
        if self.status not in (UNSET, "exited"):
            problems.add("Status may be exited, when the listener leaves; the server tells all others itself", attribute="status")
        problems.refuse()


def _check_report(version: str | UnsetType, capacity: int | UnsetType, problems: Problems) -> None:
    if version is not UNSET and not (0 < len(version) <= LONGEST_VERSION and version.isascii() and version.isprintable()):
        problems.add(f"Version must be 1 to {LONGEST_VERSION} printable ASCII characters", attribute="version")
    if capacity is not UNSET and not 1 <= capacity <= MOST_CAPACITY:
        problems.add(f"Capacity must be between 1 and {MOST_CAPACITY}", attribute="capacity")


def _check_labels(sent: Mapping[str, str | None], problems: Problems) -> None:
    if len(sent) > labels.MOST:
        problems.add(f"A pool may have at most {labels.MOST} labels", attribute="labels")
    for key, value in sent.items():
        if labels.KEY.fullmatch(key) is None or labels.VALUE.fullmatch(value or "") is None:
            problems.add("Keys and values of labels are letters, digits and _ . = + - @ : /; values may hold spaces", attribute="labels")
            return
