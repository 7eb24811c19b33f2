"""The plan phase: init, plan, and everything the server keeps of a plan."""

from __future__ import annotations

from pathlib import Path

from .failures import PhaseFailed
from .notes import note
from .order import Operation
from .phase import Background, Outcome, Phase
from .process import capture
from .results import planned
from .saved_plan import digest


def plan(phase: Phase) -> Outcome:
    """Plan and hand the plan over. Changes or none is the exit status's word: counts are zero for a changed output too."""
    phase.gather()
    phase.init()
    generated = phase.layout.phase / "generated.tf"
    flags = operation_flags(phase.material.operation, generated)
    out = f"-out={phase.layout.plan_file}"
    code = phase.run(("plan", "-input=false", "-detailed-exitcode", *phase.format_flags(), out, *phase.var_flags(), *flags), phase.show)
    rendered = phase.layout.phase / "plan.json"
    has_generated = generated.is_file() and generated.stat().st_size > 0
    if code not in (0, 2):
        failure = f"{phase.engine.tool} plan failed with exit status {code}; the log says why."
        if has_generated and _hand_over_generated(phase, rendered):
            return Outcome("errored", failure, code, generated=True)
        raise PhaseFailed(failure, said=True, exit_code=code)
    _hand_over(phase, rendered)
    return Outcome("finished", exit_code=code, has_changes=code == 2, counts=planned(rendered, phase.tally.counts), generated=has_generated)


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
    if not phase.layout.plan_file.is_file():
        return False
    code, _ = _read(phase, ("show", "-json", str(phase.layout.plan_file)), rendered)
    if code != 0:
        return False
    phase.server.put("/plan-json", rendered)
    _upload_schemas(phase)
    return True


def _hand_over(phase: Phase, rendered: Path) -> None:
    """Plan file, plan JSON and provider schemas, beside each other: each of the engine's two commands takes a tenth of a second."""
    upload = Background(lambda: _upload_plan(phase))
    schemas = Background(lambda: _upload_schemas(phase))
    code, said = _read(phase, ("show", "-json", str(phase.layout.plan_file)), rendered)
    if code == 0:
        phase.server.put("/plan-json", rendered)
    upload.result()
    schemas.result()
    phase.interruption.check()
    if code != 0:
        raise PhaseFailed(f"The saved plan cannot be shown as JSON: {said}", exit_code=code)


def _upload_plan(phase: Phase) -> None:
    expected = digest(phase.layout.plan_file)
    answer = phase.server.put("/plan-file", phase.layout.plan_file)
    if answer.get("digest") != expected:
        raise PhaseFailed("The saved plan did not arrive at the server as it was sent.")


def _upload_schemas(phase: Phase) -> None:
    """Schemas make the CLI's own rendering possible; a plan without them is still a plan."""
    path = phase.layout.phase / "schemas.json"
    code, said = _read(phase, ("providers", "schema", "-json"), path)
    if code == 0:
        phase.server.put("/provider-schemas", path)
    else:
        note(f"provider schemas cannot be read: {said}")


def _read(phase: Phase, arguments: tuple[str, ...], into: Path) -> tuple[int, str]:
    argv = (str(phase.engine.path), *arguments)
    return capture(argv, cwd=phase.place, env=phase.reading_env, interruption=phase.interruption, into=into)
