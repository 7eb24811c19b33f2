"""URLs that others are built on."""

from __future__ import annotations

from urllib.parse import urlsplit

from terrapod_core.settings._fields import masked


def check_base_url(name: str, url: str) -> None:
    """`ValueError` unless `url` is an absolute http(s) URL with nothing behind host, port and path."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(
            f"{name} must be an absolute http:// or https:// URL without user, query or fragment, not {masked(url, secret=False)}"
        )
