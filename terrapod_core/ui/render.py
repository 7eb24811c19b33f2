"""Templates to responses, with the headers that keep a page to itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Response

from terrapod_core import __version__

POLICY: Final = "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'"
"""No inline script or style, nothing from elsewhere, no frames."""

TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file that pages link to."""

    content: bytes
    type: str
    version: str
    """Of its content; part of links to it, so that it may be kept for ever."""


def load_assets() -> dict[str, Asset]:
    """The files of `static/` by name."""
    found = {}
    for path in resources.files("terrapod_core.ui").joinpath("static").iterdir():
        ending = path.name.rpartition(".")[2]
        if ending in TYPES:
            content = path.read_bytes()
            found[path.name] = Asset(content, TYPES[ending], hashlib.sha256(content).hexdigest()[:12])
    return found


class Renderer:
    """Makes pages."""

    def __init__(self) -> None:
        self.assets = load_assets()
        self._templates = Environment(
            loader=PackageLoader("terrapod_core.ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters |= {"moment": moment, "time": time_of_day, "words": words, "duration": duration}
        self._templates.globals |= {"asset": self._asset, "version": __version__}

    def page(self, template: str, *, status: int = 200, form_to: str | None = None, **values: Any) -> Response:
        """A page. `form_to` is one more origin that its forms may lead to."""
        response = Response(self._templates.get_template(template).render(values), status=status, content_type="text/html; charset=utf-8")
        return protect(response, form_to=form_to)

    def _asset(self, name: str) -> str:
        return f"/app/static/{name}?v={self.assets[name].version}"


def protect(response: Response, *, form_to: str | None = None) -> Response:
    """Put on the headers of everything that a browser shows.

    `same-origin` and not `no-referrer`: under that browsers send `Origin: null` with the forms of our own pages.
    """
    response.headers["Content-Security-Policy"] = f"{POLICY} {form_to}" if form_to else POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def moment(value: datetime | None) -> str:
    """A moment as people read it."""
    return f"{value:%Y-%m-%d %H:%M} UTC" if value is not None else "never"


def time_of_day(value: datetime) -> str:
    """A moment of today."""
    return f"{value:%H:%M:%S} UTC"


def words(status: str) -> str:
    """A word of the wire as people say it."""
    return status.replace("_", " ").replace("-", " ")


def duration(seconds: int | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def hidden(fields: Mapping[str, str | None]) -> dict[str, str]:
    """Fields of a form that nobody sees, without those that are empty."""
    return {name: value for name, value in fields.items() if value}
