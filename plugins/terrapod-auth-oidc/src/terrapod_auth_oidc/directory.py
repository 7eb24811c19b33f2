"""What the provider publishes about itself (OpenID Connect Discovery 1.0): its endpoints and its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from terrapod_auth_oidc.answers import Asking
from terrapod_auth_oidc.keys import PublicKey, choose, keys_of
from terrapod_auth_oidc.remembered import Remembered
from terrapod_auth_oidc.settings import Instance, check_endpoint
from terrapod_core.plugin import Clock, ProviderUnavailable


@dataclass(frozen=True)
class Metadata:
    """The discovery document, as far as a sign-in needs it."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    names_itself: bool
    """It puts its `iss` into every callback (RFC 9207)."""
    client_authentication: tuple[str, ...]
    """The ways in which it takes a client's secret."""


class Directory:
    """The provider's documents, asked for when they are needed and kept."""

    def __init__(self, instance: Instance, asking: Asking, clock: Clock) -> None:
        self._instance = instance
        self._asking = asking
        self._metadata = Remembered(self._fetch_metadata, clock)
        self._keys = Remembered(self._fetch_keys, clock)

    async def metadata(self) -> Metadata:
        """The discovery document. Raises `ProviderUnavailable` when there is none that can be used."""
        return await self._metadata.get()

    async def key(self, algorithm: str, kid: str | None) -> PublicKey | None:
        """The key that this signature was made with, among those published now; `None` for a key that nobody published.

        An unknown key is looked for anew once a minute at most. Raises `ProviderUnavailable`.
        """
        key = choose(await self._keys.get(), algorithm, kid)
        return key if key is not None else choose(await self._keys.newer(), algorithm, kid)

    async def _fetch_metadata(self) -> Metadata:
        url = self._instance.issuer.rstrip("/") + "/.well-known/openid-configuration"
        answer = await self._asking.get("its discovery document", url)
        if answer.status != 200:
            raise ProviderUnavailable(f"answered the request for its discovery document with status {answer.status}")
        return self._parse(answer.members)

    async def _fetch_keys(self) -> tuple[PublicKey, ...]:
        answer = await self._asking.get("its keys", (await self.metadata()).jwks_uri)
        if answer.status != 200:
            raise ProviderUnavailable(f"answered the request for its keys with status {answer.status}")
        return keys_of(answer.members)

    def _parse(self, members: Mapping[str, object]) -> Metadata:
        if members.get("issuer") != self._instance.issuer:
            raise ProviderUnavailable("calls itself by another issuer than the setting says: they must be equal to the letter")
        ways = members.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Metadata(
            authorization_endpoint=self._endpoint(members, "authorization_endpoint"),
            token_endpoint=self._endpoint(members, "token_endpoint"),
            jwks_uri=self._endpoint(members, "jwks_uri"),
            userinfo_endpoint=self._endpoint(members, "userinfo_endpoint") if "userinfo_endpoint" in members else None,
            names_itself=members.get("authorization_response_iss_parameter_supported") is True,
            client_authentication=tuple(way for way in ways if isinstance(way, str)) if isinstance(ways, list) else (),
        )

    def _endpoint(self, members: Mapping[str, object], name: str) -> str:
        url = members.get(name)
        if not isinstance(url, str):
            raise ProviderUnavailable(f"says no {name} in its discovery document")
        try:
            check_endpoint(name, url, plain_http=self._instance.allow_plain_http)
        except ValueError:
            raise ProviderUnavailable(f"says a {name} in its discovery document that must not be asked") from None
        return url
