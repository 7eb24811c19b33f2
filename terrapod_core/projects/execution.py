"""Where terraform runs: what workspaces and the defaults of projects say about it, in one grammar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import UNSET, UnsetType

from terrapod_core.errors import Invalid, Problems
from terrapod_core.jsonapi import Ref


class ExecutionMode(StrEnum):
    """Where terraform runs: on the server, on a machine of an agent pool, or with the one who called it."""

    REMOTE = "remote"
    AGENT = "agent"
    LOCAL = "local"


@dataclass(frozen=True)
class Execution:
    """A mode, with the pool that it needs when it is `agent` and that no other has."""

    mode: ExecutionMode
    pool_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a document says about it."""

    mode: ExecutionMode | None
    """`None` when it says nothing of the mode."""
    pool_id: str | UnsetType | None
    """`None` takes the pool away."""
    own: bool | None
    """Whether this thing has a mode of its own or takes that of what it is in; `None` when the document does not say."""
    pool_pointer: str
    """Where in the document the pool is, or would be."""
    own_pointer: str

    @property
    def names(self) -> bool:
        """Whether it names a mode or a pool: to take a pool away, where there is none, says nothing."""
        return self.mode is not None or isinstance(self.pool_id, str)

    @property
    def anything(self) -> bool:
        """Whether it says anything at all."""
        return self.names or self.pool_id is not UNSET or self.own is not None

    def after(self, now: Execution) -> Execution:
        """What holds after it, where `now` held before. Raises `Invalid` for a pool without the mode, or the mode without a pool."""
        mode = self.mode or now.mode
        if mode is not ExecutionMode.AGENT:
            if isinstance(self.pool_id, str):
                raise Invalid(f"an agent pool goes with the execution mode agent; this one is {mode}", pointer=self.pool_pointer)
            return Execution(mode)
        pool_id = now.pool_id if isinstance(self.pool_id, UnsetType) else self.pool_id
        if pool_id is None:
            raise Invalid("the execution mode agent needs an agent pool", pointer=self.pool_pointer)
        return Execution(mode, pool_id)

    def agrees(self, taken: Execution) -> Execution:
        """What is taken from above, when the document wishes for nothing else; `Invalid` when it does."""
        if self.mode not in (None, taken.mode) or (isinstance(self.pool_id, str) and self.pool_id != taken.pool_id):
            detail = "setting-overwrites says false, so mode and pool are not set here; send true to set them"
            raise Invalid(detail, pointer=self.own_pointer)
        return taken


def said(
    problems: Problems,
    *,
    mode: str | UnsetType | None,
    pool_id: str | UnsetType | None,
    pool: Ref | UnsetType | None,
    overwrites: Sequence[bool | UnsetType | None],
    prefix: str = "",
) -> Said:
    """Read it from the fields of a document; `prefix` comes before their names. `problems` is told what is wrong.

    A mode that is `null` takes that of what the thing is in, as `setting-overwrites` with `false` does.
    """
    known = _mode(mode, f"{prefix}execution-mode", problems)
    flags = {each for each in overwrites if isinstance(each, bool)}
    if len(flags) > 1:
        detail = f"{prefix}execution-mode and {prefix}agent-pool must be the same in setting-overwrites"
        problems.add(detail, attribute="setting-overwrites")
    own = next(iter(flags)) if flags else (False if mode is None else None)
    given = {
        f"/data/attributes/{prefix}agent-pool-id": pool_id or None if pool_id is not UNSET else UNSET,
        f"/data/relationships/{prefix}agent-pool": (pool.id or "") if isinstance(pool, Ref) else pool,
    }
    named = {pointer: value for pointer, value in given.items() if isinstance(value, str)}
    if len(set(named.values())) > 1:
        detail = f"{prefix}agent-pool-id and the relationship {prefix}agent-pool are one setting; they differ"
        problems.add(detail, attribute=f"{prefix}agent-pool-id")
    pointer = next(iter(named), next(iter(given)))
    taken_away = None if any(value is None for value in given.values()) else UNSET
    return Said(
        mode=known,
        pool_id=named.get(pointer, taken_away),
        own=own,
        pool_pointer=pointer,
        own_pointer="/data/attributes/setting-overwrites",
    )


def _mode(text: str | UnsetType | None, attribute: str, problems: Problems) -> ExecutionMode | None:
    if not isinstance(text, str):
        return None
    if text not in tuple(ExecutionMode):
        problems.add("Execution mode must be remote, agent or local", attribute=attribute)
        return None
    return ExecutionMode(text)
