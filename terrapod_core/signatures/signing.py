"""Signing, for the listener's end."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from terrapod_core.signatures.keys import PrivateKey, algorithm_of, sign
from terrapod_core.signatures.messages import TAG, Message, digest_of, with_default_port

LABEL: Final = "sig1"
LIFE_SECONDS: Final = 60


@dataclass
class Signer:
    """Signs the requests of the one who holds a key and a certificate over it."""

    key: PrivateKey = field(repr=False)
    key_id: str
    """The serial number of the certificate, in lower-case hexadecimal."""
    clock: Callable[[], float] = time.time
    offset: float = 0.0
    """Seconds that the server's clock is ahead of ours; see `heard`."""

    def headers(self, method: str, url: str, body: bytes = b"", content_type: str = "application/vnd.api+json") -> dict[str, str]:
        """What to send along with this request, beside the body. `url` is the one that the server calls itself by."""
        parts = urlsplit(url)
        sent = {"content-digest": digest_of(body)}
        if body:
            sent |= {"content-type": content_type, "content-length": str(len(body))}
        message = Message(method, with_default_port(parts.scheme, parts.netloc), parts.path or "/", parts.query, sent, bool(body))
        parameters = self._parameters(message.components)
        made = base64.b64encode(sign(self.key, message.base(message.components, parameters))).decode()
        return sent | {"signature-input": f"{LABEL}={parameters}", "signature": f"{LABEL}=:{made}:"}

    def heard(self, server_time: float) -> None:
        """Go by the server's clock from now on: it said that ours is wrong, and what time it is (seconds since 1970)."""
        self.offset = server_time - self.clock()

    def _parameters(self, components: tuple[str, ...]) -> str:
        created = int(self.clock() + self.offset)
        covered = " ".join(f'"{name}"' for name in components)
        times = f"created={created};expires={created + LIFE_SECONDS}"
        return f'({covered});{times};nonce="{secrets.token_urlsafe(16)}";keyid="{self.key_id}";alg="{algorithm_of(self.key)}";tag="{TAG}"'
