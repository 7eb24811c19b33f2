"""One SAML identity provider as an auth provider."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final
from urllib.parse import urljoin

from terrapod_auth_saml.assertion import SKEW, Assertion, Expected
from terrapod_auth_saml.bench import ALONE, Bench
from terrapod_auth_saml.description import Description, describe
from terrapod_auth_saml.refusal import BEGIN_HERE, NO_EMAIL, TOO_LATE, Refusal, shown
from terrapod_auth_saml.request import FORMATS, authn_request, metadata_document, new_request_id, redirect_url
from terrapod_auth_saml.response import Answer, judged
from terrapod_auth_saml.settings import IdentityProviderSettings, SAMLSettings
from terrapod_core.plugin import Callback, Identity, LoginRefused, LoginRequest, PluginContext, Redirect

METADATA_TYPE: Final = "application/samlmetadata+xml"
LONGEST_SUBJECT: Final = 255
LONGEST_MEMORY: Final = timedelta(days=30)
"""An assertion that claims to be valid for longer is remembered as long as this: its request is forgotten in minutes."""

_EMAIL = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")


class SAMLProvider:
    """Signs in whom its identity provider vouches for."""

    def __init__(self, name: str, settings: IdentityProviderSettings, context: PluginContext[SAMLSettings], bench: Bench) -> None:
        self._known: Description = describe(name, settings)
        self._settings = settings
        self._context = context
        self._bench = bench
        self._metadata: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        return self._known.name

    @property
    def display_name(self) -> str:
        return self._known.display_name

    async def begin(self, login: LoginRequest) -> Redirect:
        """To the identity provider, with a request whose id comes back in the answer."""
        request_id = new_request_id()
        request = authn_request(
            request_id,
            provider=self._known,
            entity_id=self._entity_id(login.callback_url),
            callback_url=login.callback_url,
            form=self._settings.name_id_format,
            now=self._context.clock.now(),
        )
        return Redirect(redirect_url(request, login.state, self._known), remember={"request_id": request_id}, returns_by_post=True)

    async def finish(self, callback: Callback) -> Identity:
        """Whom the answer is about; `LoginRefused` for anything but a first answer to the request that was made."""
        try:
            assertion = await self._judged(callback)
            identity = self._identity(assertion)
            await self._use_up(assertion, callback.remembered["request_id"])
        except Refusal as refusal:
            self._context.log.warning("the answer of the identity provider %s is refused: %s", self.name, refusal.detail)
            raise LoginRefused(refusal.reason) from None
        return identity

    def metadata(self, callback_url: str) -> tuple[str, bytes]:
        """What the identity provider's operator imports. Made once for each address."""
        if callback_url not in self._metadata:
            with ALONE:
                self._metadata[callback_url] = metadata_document(
                    entity_id=self._entity_id(callback_url),
                    callback_url=callback_url,
                    form=self._settings.name_id_format,
                    own_key=self._known.own_key,
                )
        return METADATA_TYPE, self._metadata[callback_url]

    def _entity_id(self, callback_url: str) -> str:
        return self._settings.sp_entity_id or urljoin(callback_url, f"providers/{self.name}/metadata")

    async def _judged(self, callback: Callback) -> Assertion:
        response, request_id = callback.values.get("SAMLResponse", ""), callback.remembered.get("request_id", "")
        if not request_id:
            raise Refusal("no request is remembered for it", BEGIN_HERE)
        if not response:
            raise Refusal("SAMLResponse is missing")
        now = self._context.clock.now()
        expected = Expected(self._known.entity_id, self._entity_id(callback.callback_url), callback.callback_url, request_id, now)
        answer = Answer(response, self._known, expected)
        return await self._bench.apart(lambda: judged(answer))

    async def _use_up(self, assertion: Assertion, request_id: str) -> None:
        """An answer counts once, on whatever server; and so does a request."""
        now = self._context.clock.now()
        until = min(assertion.valid_until, now + LONGEST_MEMORY) + SKEW
        for key in (f"request {request_id}", f"assertion {assertion.id}"):
            if not await self._context.once.claim(f"{self._known.entity_id} {key}", until):
                raise Refusal(f"the {key.split()[0]} was used before", TOO_LATE)

    def _identity(self, assertion: Assertion) -> Identity:
        email = self._email(assertion)
        domain = email.rpartition("@")[2].lower()
        domains = {each.lower() for each in self._settings.email_domains}
        return Identity(
            subject=self._subject(assertion),
            issuer=self._known.entity_id,
            email=email,
            email_verified=self._settings.trust_email and (not domains or domain in domains),
            username=next(iter(_first(assertion, self._settings.username_attributes)), None),
            groups=frozenset(_first(assertion, self._settings.groups_attributes)),
        )

    def _subject(self, assertion: Assertion) -> str:
        """Who it is, for ever: the NameID, or the one value of an attribute."""
        wanted = self._settings.name_id_format
        if wanted != "unspecified" and assertion.name_id_format != FORMATS[wanted]:
            raise Refusal(f"the NameID's format is {shown(assertion.name_id_format)}, not {wanted}")
        attribute = self._settings.subject_attribute
        if not attribute and assertion.name_id_format == FORMATS["transient"]:
            raise Refusal("the NameID is transient, another one at each sign-in; ask for a persistent one, or set subject_attribute")
        subjects = assertion.attributes.get(attribute, ()) if attribute else (assertion.name_id,)
        if len(subjects) != 1 or not 0 < len(subjects[0]) <= LONGEST_SUBJECT or not subjects[0].isprintable():
            raise Refusal(f"{attribute or 'the NameID'} must be one line of at most {LONGEST_SUBJECT} characters")
        return subjects[0]

    def _email(self, assertion: Assertion) -> str:
        named = assertion.name_id if assertion.name_id_format == FORMATS["email"] else ""
        email = next(iter(_first(assertion, self._settings.email_attributes)), named)
        if len(email) > 254 or not _EMAIL.fullmatch(email):
            raise Refusal(f"none of {', '.join(self._settings.email_attributes)} holds an e-mail address", NO_EMAIL)
        return email


def _first(assertion: Assertion, names: tuple[str, ...]) -> tuple[str, ...]:
    """The values of the first of these attributes that has any."""
    return next((values for name in names if (values := assertion.attributes.get(name))), ())
