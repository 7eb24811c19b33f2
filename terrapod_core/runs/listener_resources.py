"""Runs as listeners see them."""

from __future__ import annotations

from typing import Final

from terrapod_core.jsonapi import Resource, attr

GIVEN_RUN: Final = Resource(
    type="runs",
    attributes=[
        attr("status"),
        attr("phase"),
        attr("phase_id"),
        attr("epoch"),
        attr("url"),
        attr("token"),
        attr("organization"),
        attr("workspace"),
        attr("cpu"),
        attr("memory"),
        attr("service_account"),
    ],
    relationships=[],
)
"""A phase to carry out."""

TOLD_RUN: Final = Resource(type="runs", attributes=[attr("status", writable=True)], relationships=[])
"""What has become of a run by what its listener told."""
