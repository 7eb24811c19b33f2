"""Ids that follow from what they are of: every server and worker finds the same ones, and none are kept anywhere."""

from __future__ import annotations

from hashlib import sha256


def run_trace(run_id: str) -> int:
    """The trace of a run, 128 bits."""
    return _number(f"terrapod-run:{run_id}", 16)


def run_span(run_id: str) -> int:
    """The root of that trace, 64 bits."""
    return _number(f"terrapod-run-span:{run_id}", 8)


def phase_span(phase_id: str, epoch: int) -> int:
    """One try at a plan or an apply, 64 bits."""
    return _number(f"terrapod-phase:{phase_id}:{epoch}", 8)


def _number(text: str, size: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:size])
