"""The plan phase: init, plan, and everything the server keeps of a plan."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from .beneath import open_beneath
from .failures import PhaseFailed
from .notes import note
from .order import Operation
from .phase import Background, Outcome, Phase
from .results import planned
from .saved_plan import digest


def plan(phase: Phase) -> Outcome:
    """Plan and hand the plan over. Changes or none is the exit status's word: counts are zero for a changed output too."""
    phase.gather()
    phase.init()
    layout = phase.layout
    flags = operation_flags(phase.material.operation, layout.seen(layout.generated))
    out = f"-out={layout.seen(layout.planned)}"
    code = phase.run(("plan", "-input=false", "-detailed-exitcode", *phase.format_flags(), out, *phase.var_flags(), *flags), phase.show)
    rendered = layout.phase / "plan.json"
    has_generated = _holds_text(layout.generated)
    if code not in (0, 2):
        failure = f"{phase.engine.tool} plan failed with exit status {code}; the log says why."
        if has_generated and _hand_over_generated(phase, rendered):
            return Outcome("errored", failure, code, generated=True)
        raise PhaseFailed(failure, said=True, exit_code=code)
    _take(phase)
    _hand_over(phase, rendered)
    return Outcome("finished", exit_code=code, has_changes=code == 2, counts=planned(rendered, phase.tally.counts), generated=has_generated)


def _take(phase: Phase) -> None:
    """Copy the plan to where nothing that ran can change it: this copy is shown, stored, approved and applied."""
    layout = phase.layout
    try:
        with open_beneath(layout.engine, Path(layout.planned.name)) as written, layout.plan_file.open("xb") as ours:
            shutil.copyfileobj(written, ours, 1 << 20)
    except OSError as error:
        raise PhaseFailed(f"The plan that {phase.engine.tool} wrote cannot be taken: {error.strerror or error}.") from error
    phase.room.give(layout.plan_file)


def _holds_text(path: Path) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def operation_flags(operation: Operation, generated: Path) -> tuple[str, ...]:
    """The operation as flags of `plan`, one argument each, so that no address is ever read by a shell."""
    flags = []
    if operation.destroy:
        flags.append("-destroy")
    if not operation.refresh:
        flags.append("-refresh=false")
    if operation.refresh_only:
        flags.append("-refresh-only")
    flags += (f"-target={address}" for address in operation.targets)
    flags += (f"-replace={address}" for address in operation.replaces)
    if operation.generate_config:
        flags.append(f"-generate-config-out={generated}")
    return tuple(flags)


def _hand_over_generated(phase: Phase, rendered: Path) -> bool:
    """Configuration that the engine wrote and could not plan: whoever asked for it gets it, in the plan's JSON, to mend it.

    The plan file of a failed plan may never be applied and stays here. False when there is nothing to hand over.
    """
    if not _holds_text(phase.layout.planned):
        return False
    _take(phase)
    code, _ = _show(phase, rendered)
    if code != 0:
        return False
    phase.server.put("/plan-json", rendered)
    _upload_schemas(phase)
    return True


def _hand_over(phase: Phase, rendered: Path) -> None:
    """Plan file, plan JSON and provider schemas, beside each other: each of the engine's two commands takes a tenth of a second."""
    upload = Background(lambda: _upload_plan(phase))
    schemas = Background(lambda: _upload_schemas(phase))
    code, said = _show(phase, rendered)
    if code == 0:
        phase.server.put("/plan-json", rendered)
    upload.result()
    schemas.result()
    phase.interruption.check()
    if code != 0:
        raise PhaseFailed(f"The saved plan cannot be shown as JSON: {said}", exit_code=code)


def _show(phase: Phase, rendered: Path) -> tuple[int, str]:
    """Our copy of the plan as JSON: exit status, and what was said."""
    plan_file = phase.layout.seen(phase.layout.plan_file)
    return phase.read(("show", "-json", str(plan_file)), rendered, network=False)


def _upload_plan(phase: Phase) -> None:
    expected = digest(phase.layout.plan_file)
    answer = phase.server.put("/plan-file", phase.layout.plan_file)
    if answer.get("digest") != expected:
        raise PhaseFailed("The saved plan did not arrive at the server as it was sent.")


def _upload_schemas(phase: Phase) -> None:
    """Schemas make the CLI's own rendering possible; a plan without them is still a plan. The command asks the backend for the state."""
    path = phase.layout.phase / "schemas.json"
    code, said = phase.read(("providers", "schema", "-json"), path, network=True)
    if code == 0:
        phase.server.put("/provider-schemas", path)
    else:
        note(f"provider schemas cannot be read: {said}")
