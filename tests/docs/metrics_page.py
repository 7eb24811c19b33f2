"""The page of all metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase

from terrapod_core.metrics import definitions
from terrapod_core.metrics.definitions import READINGS
from tests.docs.markdown import code, table


@dataclass(frozen=True)
class Defined:
    """A metric as the code defines it; `name` as a dashboard writes it, without `_bucket` and the like."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str


def defined() -> Iterator[Defined]:
    """Every metric of the core."""
    for each in vars(definitions).values():
        if isinstance(each, MetricWrapperBase):
            kind, labels = type(each).__name__.lower(), tuple(each._labelnames)
            yield Defined(each._name + ("_total" if kind == "counter" else ""), kind, labels, each._documentation)
    for reading in READINGS:
        yield Defined(reading.name, "gauge", reading.labels, reading.about)


def metrics() -> str:
    """Every metric with its help, type and labels."""
    readings = {reading.name for reading in READINGS}
    rows = sorted(defined(), key=lambda each: each.name)

    def cells(each: Defined) -> list[str]:
        return [code(each.name), each.kind, ", ".join(map(code, each.labels)), each.about]

    titles = ("metric", "type", "labels", "meaning")
    return (
        "# Metrics\n\n"
        "What `/metrics` tells. How to scrape it, with dashboards and alerts, is told in [Watch it](../how-to/watch-it.md).\n"
        "A histogram has the usual three: `_bucket`, `_sum` and `_count`.\n"
        "A label never holds an id, a path or anything that somebody sent.\n"
        "A server of one process also tells what the Prometheus library knows of every process: `process_*` and `python_*`.\n\n"
        "## Counted by each server\n\nAdd them up over all servers.\n\n"
        + table(titles, (cells(each) for each in rows if each.name not in readings))
        + "\n## Read from the database\n\n"
        "For the whole installation, so every server tells the same: take the `max` over servers, never the sum. They are at most\n"
        "10 seconds old. While the database is away they are left out, and `terrapod_readings_up` is 0.\n"
        "Of the agent pools the 100 oldest have their names in the label `pool`; younger ones are told together as `(others)`.\n\n"
        + table(titles, (cells(each) for each in rows if each.name in readings))
        + "\n## Of plugins\n\nA plugin's metrics begin with `terrapod_` and the name of its entry point: `terrapod_storage_s3_…`.\n"
        "Its own pages tell them.\n"
    )
