"""What of a request is signed, and how it is written down for that."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TAG: Final = "terrapod-listener-v1"
"""What the signatures are for. One made for something else is none."""

ALWAYS: Final = ("@method", "@authority", "@path", "@query", "content-digest")
"""The components of every signature; the digest is there for an empty body too."""

WITH_BODY: Final = ("content-type", "content-length")
"""Those that a request with a body adds."""

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Message:
    """A request as it is signed."""

    method: str
    authority: str
    """Host and port of the server's external URL, in lower case, without the scheme's own port."""
    path: str
    """As it is on the wire, escapes and all."""
    query: str = ""
    """As it is on the wire, without its `?`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name: those among the components that the request has."""
    has_body: bool = False

    @property
    def components(self) -> tuple[str, ...]:
        """The components that a signature of it has: these and no others."""
        return (*ALWAYS, *WITH_BODY) if self.has_body else ALWAYS

    def base(self, components: tuple[str, ...], parameters: str) -> bytes:
        """The signature base of RFC 9421, section 2.5; `parameters` is the value of `@signature-params`.

        `KeyError` for a header that the request has not.
        """
        lines = [f'"{name}": {self._value(name)}' for name in components]
        return "\n".join((*lines, f'"@signature-params": {parameters}')).encode()

    def _value(self, component: str) -> str:
        derived = {"@method": self.method, "@authority": self.authority, "@path": self.path, "@query": f"?{self.query}"}
        return derived[component] if component in derived else self.headers[component].strip()


def digest_of(body: bytes) -> str:
    """The value of `Content-Digest` for this body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def with_default_port(scheme: str, netloc: str) -> str:
    """The authority as it is signed: in lower case, and without the port that goes without saying."""
    authority = netloc.lower()
    return authority.removesuffix(f":{_PORTS[scheme]}") if scheme in _PORTS else authority
