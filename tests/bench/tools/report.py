"""What a benchmark prints: a line while it works, and at the end each figure beside its aim."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure. `met` is `None` where there is no aim to meet."""

    what: str
    figure: str
    beside: str = ""
    """What it was measured against, from the same run."""
    aim: str = ""
    met: bool | None = None


@dataclass
class Report:
    """Collects sections of rows; says on the way what it is doing."""

    title: str
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    sections: list[tuple[str, list[Row]]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def section(self, title: str) -> None:
        """What comes now belongs together."""
        self.sections.append((title, []))
        self.console.print(f"[dim]{self._elapsed()}[/dim] [bold]{title}[/bold]")

    def doing(self, what: str) -> None:
        """Progress."""
        self.console.print(f"[dim]{self._elapsed()}   {what}[/dim]")

    def add(self, what: str, figure: str, beside: str = "", *, aim: str = "", met: bool | None = None) -> None:
        """A figure of this section."""
        self.sections[-1][1].append(Row(what, figure, beside, aim, met))

    def show(self) -> None:
        """Everything, as one table; it is there even when nobody watched."""
        table = Table(title=self.title, title_justify="left", pad_edge=False)
        for heading in ("what", "figure", "beside it", "aim", ""):
            table.add_column(heading, overflow="fold")
        for title, rows in self.sections:
            table.add_section()
            table.add_row(f"[bold]{title}[/bold]")
            for row in rows:
                verdict = {None: "", True: "[green]met[/green]", False: "[red]missed[/red]"}[row.met]
                table.add_row(row.what, row.figure, row.beside, row.aim, verdict)
        Console(highlight=False, width=max(150, self.console.width)).print(table)
        self.console.print(f"[dim]{self._elapsed()} in all[/dim]")

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self.began)
        return f"{seconds // 60}:{seconds % 60:02}"


def spread(values: Iterable[float], form: Callable[[float], str] = lambda value: f"{value:.2f}") -> str:
    """The median, and in brackets the least and the most, where there are several."""
    found = sorted(values)
    text = form(median(found))
    return text if len(found) == 1 else f"{text} ({form(found[0])} to {form(found[-1])})"


def seconds(value: float) -> str:
    """A time as people read it."""
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.2f} s"


def mebibytes(value: float) -> str:
    """A size as people read it."""
    return f"{value / 2**20:.0f} MiB"
