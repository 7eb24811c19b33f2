"""What operators see of the schedule at `/metrics`."""

from __future__ import annotations

from datetime import datetime

from terrapod_core.plugin import PluginMetrics


class Metrics:
    """The plugin's metrics."""

    def __init__(self, metrics: PluginMetrics) -> None:
        self._syncs = metrics.counter("syncs_total", "Syncs of workspaces that came to an end, by how.", ("result",))
        self._conflicts = metrics.counter("conflicts_total", "Conflicts that arose, by kind.", ("kind",))
        self._scheduled = metrics.gauge("scheduled_workspaces", "Workspaces that are on a schedule, as the process counts that keeps it.")
        self._lateness = metrics.histogram(
            "tick_lateness_seconds",
            "How much later than due, jitter included, a sync began.",
            buckets=(0.5, 1, 2, 5, 15, 60, 300, 1800, 7200),
        )

    def ended(self, result: str) -> None:
        """A sync ended with this status."""
        self._syncs.labels(result).inc()

    def arose(self, kind: str) -> None:
        """A conflict of this kind."""
        self._conflicts.labels(kind).inc()

    def scheduled(self, count: int) -> None:
        """So many workspaces are on a schedule."""
        self._scheduled.set(count)

    def began(self, due: datetime, now: datetime) -> None:
        """A sync that was due then begins now."""
        self._lateness.observe(max((now - due).total_seconds(), 0.0))
