"""Every metric of the core: its name, what it says, its labels.

A label's values are few and known: words of the code, route templates, names that the operator chose. Never an id, a path, an
address or anything that somebody sent.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from terrapod_core import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()
"""Of this process."""

QUICK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds of what somebody waits for."""

SLOW: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds of what takes its time."""


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(name, about, labels, registry=REGISTRY)


def _histogram(name: str, about: str, *labels: str, buckets: tuple[float, ...] = QUICK) -> Histogram:
    return Histogram(name, about, labels, buckets=buckets, registry=REGISTRY)


def _open(name: str, about: str) -> Gauge:
    """What is open now; of several processes the sum over those that live."""
    return Gauge(name, about, registry=REGISTRY, multiprocess_mode="livesum")


BUILD: Final = Gauge(
    "terrapod_build_info",
    "Always 1; the labels say which version runs.",
    ("version", "python"),
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
BUILD.labels(__version__, platform.python_version()).set(1)

CERTIFICATE_EXPIRY: Final = Gauge(
    "terrapod_tls_certificate_expiry_timestamp_seconds",
    "When the certificate that the server shows ends, in seconds since 1970; 0 while it serves plain HTTP.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)

# -- forges

VCS_POLLS: Final = _counter(
    "terrapod_vcs_polls_total",
    "Looks at repositories, by VCS provider and outcome: `changed`, `unchanged` or `failed`.",
    "provider",
    "outcome",
)
VCS_WEBHOOKS: Final = _counter(
    "terrapod_vcs_webhooks_total",
    "Webhooks of forges, by VCS provider and outcome: `followed`, `unknown` (a repository that nobody follows), `ignored` or `refused`.",
    "provider",
    "outcome",
)
VCS_CHANGES: Final = _counter(
    "terrapod_vcs_changes_total",
    "Commits dealt with for a workspace, by kind (`push`, `tag`, `pull`) and outcome: `stored`, `skipped` or `refused`.",
    "kind",
    "outcome",
)

# -- HTTP

REQUESTS: Final = _counter(
    "terrapod_http_requests_total", "Requests answered, by method, route template and class of status.", "method", "route", "status"
)
REQUEST_SECONDS: Final = _histogram(
    "terrapod_http_request_duration_seconds", "Seconds until the answer begins, by method and route template.", "method", "route"
)
REQUESTS_OPEN: Final = _open("terrapod_http_requests_in_flight", "Requests that are being answered, streams and long polls included.")
BYTES_IN: Final = _counter("terrapod_http_received_bytes_total", "Bytes of request bodies received.")
BYTES_OUT: Final = _counter("terrapod_http_sent_bytes_total", "Bytes of answers' bodies sent.")
RATE_LIMITED: Final = _counter("terrapod_http_rate_limited_total", "Requests refused because of a limit, by whose limit it was.", "limit")
STREAMS_OPEN: Final = _open("terrapod_streams_open", "Streams of events and logs that are open.")
POLLS_OPEN: Final = _open("terrapod_listener_polls_open", "Long polls of listeners that wait for a run.")

# -- runs

RUN_TRANSITIONS: Final = _counter(
    "terrapod_run_transitions_total", "Steps of runs from one status to another; a new run comes from `none`.", "previous", "status"
)
QUEUE_SECONDS: Final = _histogram(
    "terrapod_phase_queue_duration_seconds", "Seconds from queued to claimed by a runner, by kind of phase.", "kind", buckets=SLOW
)
PHASE_SECONDS: Final = _histogram(
    "terrapod_phase_duration_seconds",
    "Seconds from claimed to ended, by kind of phase and how it ended.",
    "kind",
    "outcome",
    buckets=SLOW,
)
RUNNERS_LOST: Final = _counter(
    "terrapod_runners_lost_total", "Runners that ended or fell silent without a report, by kind of phase.", "kind"
)

# -- jobs

JOBS_RUN: Final = _counter(
    "terrapod_jobs_total", "Jobs tried, by name and outcome: `done`, `failed` (tried again) or `dead`.", "name", "outcome"
)
JOB_SECONDS: Final = _histogram("terrapod_job_duration_seconds", "Seconds of one try of a job, by name.", "name")
PERIODIC: Final = _counter("terrapod_periodic_total", "Periodic work, by name and outcome: `done` or `failed`.", "name", "outcome")

# -- storage

STORAGE_OPERATIONS: Final = _counter(
    "terrapod_storage_operations_total",
    "Operations on the object store, by backend, operation and outcome: `done`, `missing`, `failed` or `stopped` by whoever asked.",
    "backend",
    "operation",
    "outcome",
)
STORAGE_SECONDS: Final = _histogram(
    "terrapod_storage_operation_duration_seconds",
    "Seconds of operations on the object store, streams to their end.",
    "backend",
    "operation",
)
STORAGE_BYTES: Final = _counter("terrapod_storage_bytes_total", "Bytes read from and written to the object store.", "backend", "operation")

# -- caches of engines, providers and modules

MIRROR_REQUESTS: Final = _counter(
    "terrapod_mirror_requests_total",
    "Packages of engines, providers and modules given to somebody, by kind and whether they were in the cache: `hit` or `miss`.",
    "kind",
    "outcome",
)
MIRROR_SERVED: Final = _counter(
    "terrapod_mirror_served_bytes_total", "Bytes of packages given from the cache, which no upstream was asked for, by kind.", "kind"
)
MIRROR_FETCHED: Final = _counter(
    "terrapod_mirror_fetched_bytes_total", "Bytes of packages fetched from upstreams, by registry host, or tool of engines.", "host"
)
MIRROR_ERRORS: Final = _counter(
    "terrapod_mirror_upstream_errors_total",
    "Times an upstream was down, too slow or answered nonsense, by registry host, or tool of engines.",
    "host",
)
MIRROR_EVICTIONS: Final = _counter(
    "terrapod_mirror_evictions_total", "Packages evicted from the cache, by kind and which limit it was: `size` or `age`.", "kind", "limit"
)
MIRROR_EVICTED: Final = _counter("terrapod_mirror_evicted_bytes_total", "Bytes of packages evicted from the cache, by kind.", "kind")

# -- database

POOL_IN_USE: Final = _open("terrapod_database_connections_in_use", "Pooled connections that are in use; on SQLite the one that writes.")
POOL_SIZE: Final = _open("terrapod_database_connections_max", "Pooled connections there may be.")
POOL_SECONDS: Final = _histogram(
    "terrapod_database_connection_wait_seconds", "Seconds until a pooled connection was had; on SQLite the queue of writers."
)
DATABASE_AWAY: Final = _counter("terrapod_database_unavailable_total", "Times the database did not answer.")


# -- what only the database knows


@dataclass(frozen=True)
class Reading:
    """A gauge whose values are read from the database, for the whole installation."""

    name: str
    about: str
    labels: tuple[str, ...] = ()


READ: Final = Reading(
    "terrapod_readings_up", "1 when the gauges that come from the database could be read, else 0; then they are left out."
)
RUNS_LIVE: Final = Reading("terrapod_runs_live", "Runs that are not over, by status.", ("status",))
PHASES_WAITING: Final = Reading(
    "terrapod_phases_waiting",
    "Plans and applies that wait for a runner, by agent pool; those of the server's own runner have an empty one.",
    ("pool",),
)
PHASES_OLDEST: Final = Reading(
    "terrapod_phases_waiting_oldest_seconds", "Age of the plan or apply that waits longest for a runner; 0 when none waits."
)
JOBS_WAITING: Final = Reading("terrapod_jobs_waiting", "Jobs that are due and that no worker has.")
JOBS_OLDEST: Final = Reading("terrapod_jobs_waiting_oldest_seconds", "How long the job that waits longest is due; 0 when none waits.")
JOBS_DEAD: Final = Reading("terrapod_jobs_dead", "Jobs that were laid aside after their last try.")
OUTBOX_OLDEST: Final = Reading("terrapod_outbox_oldest_seconds", "Age of the oldest event that was not told yet; 0 when there is none.")
LISTENERS: Final = Reading("terrapod_listeners", "Listeners that did not leave, by agent pool and status.", ("pool", "status"))
POOL_CAPACITY: Final = Reading(
    "terrapod_pool_capacity", "Phases that a pool's listeners take at a time: those that are heard and not draining.", ("pool",)
)
POOL_BUSY: Final = Reading("terrapod_pool_phases", "Phases that a pool's listeners have.", ("pool",))
AUDIT_UNSEALED: Final = Reading("terrapod_audit_unsealed", "Entries of the audit record that wait to be sealed.")
AUDIT_OLDEST: Final = Reading(
    "terrapod_audit_unsealed_oldest_seconds", "Age of the entry that waits longest to be sealed; 0 when none waits."
)

MIRROR_PACKAGES: Final = Reading("terrapod_mirror_packages", "Packages in the cache, by kind.", ("kind",))
MIRROR_BYTES: Final = Reading("terrapod_mirror_bytes", "Bytes of packages in the cache, by kind.", ("kind",))
MIRROR_FAILING: Final = Reading(
    "terrapod_mirror_sources_failing", "Sources whose upstream did not answer when it was asked last for their versions."
)
VCS_FAILING: Final = Reading("terrapod_vcs_repositories_failing", "Repositories that somebody follows and that cannot be looked at.")

READINGS: Final = (
    READ,
    RUNS_LIVE,
    PHASES_WAITING,
    PHASES_OLDEST,
    JOBS_WAITING,
    JOBS_OLDEST,
    JOBS_DEAD,
    OUTBOX_OLDEST,
    LISTENERS,
    POOL_CAPACITY,
    POOL_BUSY,
    AUDIT_UNSEALED,
    AUDIT_OLDEST,
    MIRROR_PACKAGES,
    MIRROR_BYTES,
    MIRROR_FAILING,
    VCS_FAILING,
)
"""All of them."""

Sample = tuple[Reading, tuple[str, ...], float]
"""A reading, the values of its labels, and how much."""
