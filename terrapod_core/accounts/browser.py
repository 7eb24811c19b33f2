"""What keeps a browser honest: names and flags of cookies, where the server is, and who sent a form. No web framework here."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from terrapod_core.errors import Forbidden
from terrapod_core.secrets import Keyring

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
BROWSER_COOKIE_SECONDS: Final = 600


@dataclass(frozen=True)
class Site:
    """The server as one browser reaches it."""

    base_url: str
    """Absolute, without a slash at its end."""
    secure: bool
    """Whether it is reached over TLS."""

    @property
    def origin(self) -> str:
        """What the browser sends as `Origin`: in lower case, without the scheme's own port."""
        parts = urlsplit(self.base_url)
        own = {"http": ":80", "https": ":443"}[parts.scheme]
        return f"{parts.scheme}://{parts.netloc.lower().removesuffix(own)}"

    @property
    def session_cookie(self) -> str:
        """`__Host-` binds a cookie to this host and to TLS; browsers refuse such a name without TLS."""
        return "__Host-terrapod" if self.secure else "terrapod"

    @property
    def sign_in_cookie(self) -> str:
        """Tells this browser from others while somebody signs in."""
        return f"{self.session_cookie}-sign-in"

    @property
    def posting_cookie(self) -> str:
        """The same for a sign-in that another site's form brings back; there is none without TLS."""
        return f"{self.sign_in_cookie}-post"

    def posting_flags(self) -> dict[str, Any]:
        """`None`: the cookie comes along with a form of another site's page. Browsers take that for secure cookies alone."""
        return {"path": "/", "httponly": True, "secure": True, "samesite": "None"}

    def cookie_flags(self) -> dict[str, Any]:
        """`Lax`: the cookie comes along when terraform opens a page, and with no form or script of another site."""
        return {"path": "/", "httponly": True, "secure": self.secure, "samesite": "Lax"}


def site_of(base_url: str, *, scheme: str, host: str, external: bool, allow_plain_http: bool) -> Site:
    """Where the request reached us. `base_url` is the setting when `external`, else made from the request.

    Raises `Forbidden` for a browser that came over plain HTTP from elsewhere: its password would be readable on the way.
    """
    reached = base_url if external else f"{scheme}://{host}"
    parts = urlsplit(reached)
    secure = parts.scheme == "https"
    if not secure and not allow_plain_http and (parts.hostname or "") not in LOOPBACK:
        raise Forbidden(
            "signing in over plain HTTP is refused: reach this server by https (server.tls_cert, or a proxy and external_url), "
            "or by localhost; sessions.allow_plain_http lifts this",
            code="plain_http",
        )
    return Site(reached.rstrip("/"), secure)


def is_foreign(site: Site, *, origin: str | None, fetch_site: str | None) -> bool:
    """Whether a browser says that the form it sends is of another site's page. Programs say nothing."""
    return (origin is not None and origin != site.origin) or fetch_site not in (None, "same-origin")


def check_origin(site: Site, *, origin: str | None, fetch_site: str | None) -> None:
    """Raise `Forbidden` for a form that was not sent from a page of this server.

    Browsers that leave `Origin` out of a form's request say `Sec-Fetch-Site`; one that says neither is not believed.
    """
    if origin is not None and origin != site.origin:
        raise Forbidden(
            f"this form came from {origin[:100]}, not from {site.origin}; open the page here and try again", code="foreign_origin"
        )
    if fetch_site not in (None, "same-origin") or (origin is None and fetch_site is None):
        raise Forbidden(f"this form did not come from a page of {site.origin}; open the page here and try again", code="foreign_origin")


class FormTokens:
    """Tokens that forms carry, each good for one session alone."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def make(self, session_id: str) -> str:
        """The token for the forms of this session."""
        return self._token(session_id, self._keyring.newest)

    def check(self, session_id: str, token: str) -> None:
        """Raise `Forbidden` for any token that is not of this session."""
        given = token.encode("utf-8", "replace")
        matches = [hmac.compare_digest(given, self._token(session_id, key_id).encode()) for key_id in self._keyring.key_ids]
        if not any(matches):
            raise Forbidden("this form is out of date; open the page again and send it once more", code="form_token")

    def _token(self, session_id: str, key_id: str) -> str:
        return hmac.digest(self._keyring.derive("session", key_id=key_id), f"form:{session_id}".encode(), "sha256").hex()
