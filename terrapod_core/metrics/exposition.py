"""What `/metrics` says, as text of Prometheus or OpenMetrics."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from terrapod_core.metrics.definitions import READINGS, REGISTRY, Sample
from terrapod_core.metrics.workers import VARIABLE

SHARED: Final = VARIABLE in os.environ
"""Whether this process's numbers are one part of several: as the library saw it when it was imported."""

if not SHARED:
    # Of several processes nobody could say which one these are about.
    ProcessCollector(registry=REGISTRY)
    PlatformCollector(registry=REGISTRY)
    GCCollector(registry=REGISTRY)


class _Samples(Collector):
    """Readings of the database: added once, whoever is asked."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        families = {each: GaugeMetricFamily(each.name, each.about, labels=each.labels) for each in READINGS}
        for reading, labels, value in self._samples:
            families[reading].add_metric(labels, value)
        return families.values()


def render(accept: str, samples: Sequence[Sample]) -> tuple[bytes, str]:
    """The text, and its content type, as the header `Accept` wishes. Takes some milliseconds and, of several processes, reads files."""
    encode, content_type = choose_encoder(accept)
    own = REGISTRY
    if SHARED:
        own = CollectorRegistry()
        MultiProcessCollector(own)  # type: ignore[no-untyped-call]
    return encode(_All(own, _Samples(samples))), content_type


class _All(CollectorRegistry):
    """Two collectors behind another, as the encoders want it."""

    def __init__(self, *parts: Collector) -> None:
        super().__init__()
        for part in parts:
            self.register(part)
