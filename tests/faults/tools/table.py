"""What came of it: a row for each victim, fault and phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from tests.faults.tools.experiments import Experiment

PHASES = {
    "pending": "queued",
    "plan_queued": "plan queued",
    "planning": "planning",
    "planned": "planned",
    "confirmed": "apply queued",
    "apply_queued": "apply queued",
    "applying": "applying",
}
ORDER = list(dict.fromkeys(PHASES.values()))


@dataclass(frozen=True)
class Result:
    """One run, one fault, and what was wrong afterwards."""

    experiment: Experiment
    lane: str
    run_id: str
    struck: str
    """The run's status when it was hit."""
    status: str | None
    seconds: float
    """From the blow to the end of the run."""
    violations: Sequence[str] = field(default=())

    @property
    def phase(self) -> str:
        """In words."""
        return PHASES.get(self.struck, self.struck)


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table and every violation."""
    table = Table(title="faults", title_justify="left", pad_edge=False)
    for heading in ("victim", "fault", "when it was", "runs", "ended as", "longest", "violations"):
        table.add_column(heading, justify="right" if heading in ("runs", "longest", "violations") else "left")
    victim = None
    for key in sorted({_key(result) for result in results}):
        rows = [result for result in results if _key(result) == key]
        first = rows[0]
        if first.experiment.fault.victim != victim:
            victim = first.experiment.fault.victim
            table.add_section()
        ends = Counter(result.status or "never" for result in rows)
        wrong = sum(bool(result.violations) for result in rows)
        table.add_row(
            first.experiment.fault.victim,
            first.experiment.fault.deed,
            first.phase,
            str(len(rows)),
            ", ".join(f"{status} {count}" for status, count in sorted(ends.items())),
            f"{max(result.seconds for result in rows):.0f} s",
            f"[red]{wrong}[/red]" if wrong else "0",
        )
    console.print(table)
    for result in results:
        for sentence in result.violations:
            console.print(f"[red]{result.run_id}[/red] ({result.lane}) {result.experiment}, hit when {result.struck}: {sentence}")


def _key(result: Result) -> tuple[str, str, int]:
    fault = result.experiment.fault
    return fault.victim, fault.deed, ORDER.index(result.phase) if result.phase in ORDER else len(ORDER)
