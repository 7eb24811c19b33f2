"""Metrics of plugins."""

from __future__ import annotations

import pytest

from terrapod_core.metrics.definitions import REGISTRY
from terrapod_core.metrics.exposition import render
from terrapod_core.metrics.plugins import PluginMetrics


def test_a_plugins_metric_is_told_under_its_name() -> None:
    metrics = PluginMetrics("storage-fancy")
    metrics.counter("tries_total", "Tries.", ("outcome",)).labels("done").inc()
    metrics.gauge("depth", "Depth.").set(3)
    metrics.histogram("wait_seconds", "Waits.").observe(0.2)
    assert REGISTRY.get_sample_value("terrapod_storage_fancy_tries_total", {"outcome": "done"}) == 1
    told = render("", [])[0].decode()
    assert "terrapod_storage_fancy_depth 3.0" in told
    assert "terrapod_storage_fancy_wait_seconds_count 1.0" in told


def test_asking_twice_gives_the_same_one() -> None:
    assert PluginMetrics("sync").counter("a_total", "A.") is PluginMetrics("sync").counter("a_total", "A.")


def test_a_name_that_is_something_else_already_is_refused() -> None:
    metrics = PluginMetrics("sync")
    metrics.gauge("size", "Size.")
    with pytest.raises(ValueError, match="terrapod_sync_size is a gauge already"):
        metrics.histogram("size", "Size.")


def test_a_name_that_prometheus_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="no-label"):
        PluginMetrics("sync").counter("a_total", "A.", ("no-label",))
