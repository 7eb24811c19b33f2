"""The apply phase: exactly the saved plan, on exactly the state it was made from, and no state lost whatever happens."""

from __future__ import annotations

from dataclasses import replace

from .failures import PhaseFailed
from .phase import Outcome, Phase
from .saved_plan import SavedPlan, check_origin, digest, read
from .state_file import take_if_newer
from .versions import Version
from .workdir import LOCK_FILE, remove, write_new


def apply(phase: Phase) -> Outcome:
    """Check that plan and state are what they were, apply, and see that the last state is kept."""
    phase.gather()
    saved = _checked_plan(phase)
    _initialize(phase, saved)
    before = phase.keeper.current
    arguments = ("apply", "-input=false", *phase.format_flags(), *_variables(phase), str(phase.layout.seen(phase.layout.plan_file)))

    def begun(chunk: bytes) -> None:
        phase.changing = True  # the engine speaks before it touches anything
        phase.show(chunk)

    try:
        code = phase.run(arguments, begun)
    finally:
        kept = _last_state(phase)
    phase.changing = False
    changed = phase.keeper.current is not before
    # An engine that ends by itself says 0 or 1; one that was killed or crashed did not write down the end of its work.
    broken = code not in (0, 1) or (code == 0 and not kept)
    outcome = Outcome("finished", exit_code=code, has_changes=changed, counts=phase.tally.counts, state_incomplete=broken)
    if code == 0 and kept:
        return outcome
    if code == 0:
        message = "The apply ended well, but left no state behind: look for the state before the next run."
        phase.log.say(f"\nError: {message}")
        return replace(outcome, status="errored", message=message)
    if phase.interruption.requested:
        return replace(outcome, status="canceled", message=_cancelled(phase))
    return replace(outcome, status="errored", message=f"{phase.engine.tool} apply failed with exit status {code}; the log says why.")


def _checked_plan(phase: Phase) -> SavedPlan:
    if phase.material.plan_digest is None or digest(phase.layout.plan_file) != phase.material.plan_digest:
        raise PhaseFailed("The saved plan is not the one that was approved. Nothing was changed: plan again.")
    saved = read(phase.layout.plan_file, tool=phase.engine.tool)
    check_origin(saved, phase.keeper.current.head if phase.keeper.current else None)
    return saved


def _initialize(phase: Phase, saved: SavedPlan) -> None:
    """With the plan's own lock file, so that the providers are the plan's; one that lacks a checksum may be completed."""
    if saved.lock is None:
        phase.init()
        return
    remove(phase.place / LOCK_FILE)
    write_new(phase.place / LOCK_FILE, saved.lock.decode())
    phase.room.give(phase.place / LOCK_FILE)
    if phase.init("-lockfile=readonly", show_failure=False) != 0:
        phase.init()


def _variables(phase: Phase) -> tuple[str, ...]:
    """Ephemeral values are not in the plan and are given again; engines before they existed refuse any with a saved plan."""
    first = "1.11.0" if phase.engine.tool == "tofu" else "1.10.0"
    version, since = Version.parse(phase.engine.version), Version.parse(first)
    return phase.var_flags() if version and since and version.numbers >= since.numbers else ()


def _last_state(phase: Phase) -> bool:
    """Take what the engine left beside its backend; false when a state must be there and is not."""
    readable = phase.state_file is None or phase.state_file.finish()
    # Written by the engine when it could not save: newer than anything the backend has.
    rescued = take_if_newer(phase.layout.configuration, phase.relative / "errored.tfstate", phase.keeper)
    return readable or rescued


def _cancelled(phase: Phase) -> str:
    if not phase.interruption.killed:
        return "The apply was canceled; what was done until then is in the state."
    message = "The apply was killed; the state may lack what was done in its last seconds: compare with a plan."
    phase.log.say(f"\n{message}")
    return message
