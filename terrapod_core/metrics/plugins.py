"""Metrics that a plugin adds; they appear beside the core's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from terrapod_core.metrics.definitions import QUICK, REGISTRY

M = TypeVar("M", Counter, Gauge, Histogram)

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

_made: dict[str, Counter | Gauge | Histogram] = {}


class PluginMetrics:
    """Makes a plugin's metrics. Their names begin with `terrapod_<plugin>_`, and one that was made already is given again.

    Values of a label must be few and known: never an id, a path or anything that somebody sent. Another name
    than `[a-z][a-z0-9_]*`, and one that was made as something else before, raise `ValueError`.
    """

    def __init__(self, plugin: str) -> None:
        """`plugin` is the name of its entry point."""
        self._prefix: Final = f"terrapod_{re.sub(r'[^a-z0-9]+', '_', plugin.lower())}_"

    def counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        """Something that only grows; `name` ends in `_total`."""
        return self._kept(Counter, name, labels, lambda full: Counter(full, about, labels, registry=REGISTRY))

    def gauge(self, name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        """Something that goes up and down; of several processes of one server the sum is told."""
        return self._kept(Gauge, name, labels, lambda full: Gauge(full, about, labels, registry=REGISTRY, multiprocess_mode="livesum"))

    def histogram(self, name: str, about: str, labels: Sequence[str] = (), buckets: Sequence[float] = QUICK) -> Histogram:
        """How often something was how much; seconds and bytes as the end of the name say the unit."""
        return self._kept(Histogram, name, labels, lambda full: Histogram(full, about, labels, buckets=buckets, registry=REGISTRY))

    def _kept(self, kind: type[M], name: str, labels: Sequence[str], make: Callable[[str], M]) -> M:
        wrong = [each for each in (name, *labels) if not _NAME.fullmatch(each)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no name of a metric or label: a-z, 0-9 and _, a letter first")
        full = self._prefix + name
        found = _made.get(full)
        if found is None:
            found = _made[full] = make(full)
        if not isinstance(found, kind):
            raise ValueError(f"the metric {full} is a {type(found).__name__.lower()} already")
        return found
