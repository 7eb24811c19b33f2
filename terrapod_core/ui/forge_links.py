"""Addresses that a forge tells: a page leads to them only when they are addresses of the web."""

from __future__ import annotations

from urllib.parse import urlsplit


def leads(address: object) -> str | None:
    """The address, when a page may lead there; `None` for none, and for a script or anything else that is no page."""
    if not isinstance(address, str) or not address.isprintable():
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if parts.scheme in ("https", "http") and parts.hostname else None
