"""Asking an auth provider. It may be a stranger's code in front of a stranger's server, so whatever it does becomes one of

    an answer that was checked, `LoginRefused`, or a `BadGateway` that names the provider

and an error of the core's own that it met on the way (the database is away).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog

from terrapod_core.accounts.models import SERVICE
from terrapod_core.authz.emails import checked_email
from terrapod_core.errors import BadGateway, Invalid, NotFound, TerrapodError
from terrapod_core.plugin.auth import (
    AuthProvider,
    Callback,
    Form,
    FormField,
    Identity,
    LoginRefused,
    LoginRequest,
    ProviderUnavailable,
    Redirect,
    SupportsMetadata,
)

T = TypeVar("T")

SUBJECT_LENGTH: Final = 256
ISSUER_LENGTH: Final = 1024
MOST_GROUPS: Final = 1000
GROUP_LENGTH: Final = 256
SENTENCE_LENGTH: Final = 300
URL_LENGTH: Final = 16 * 1024
REMEMBERED_BYTES: Final = 16 * 1024
MOST_FIELDS: Final = 20
OWN_FIELDS: Final = frozenset({"state", "RelayState", "provider", "return_to"})
"""What the sign-in page's form carries itself."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_CONTENT_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(; ?charset=[\w-]+)?", re.ASCII)
_FIELD_KINDS: Final = frozenset({"text", "email", "password"})

log = structlog.get_logger("terrapod.accounts")


class Nonsense(ValueError):
    """A provider's answer that cannot be used; the text says why and repeats nothing of it."""


@dataclass(frozen=True)
class ProviderView:
    """A provider as lists and pages show it."""

    name: str
    display_name: str
    has_metadata: bool


def usable(providers: Mapping[str, AuthProvider]) -> dict[str, AuthProvider]:
    """Those whose names may stand in paths and in front of users; the others are left out and named in the log."""
    found = {}
    for name, provider in providers.items():
        if not _NAME.fullmatch(name) or name == SERVICE:
            log.error("an auth provider is not used: its name is taken by the core, or has other characters than a-z, 0-9 and -", name=name)
        else:
            found[name] = provider
    return found


def view_of(provider: AuthProvider) -> ProviderView:
    """The provider by name, with a display name that is text."""
    return ProviderView(provider.name, _display_name(provider), isinstance(provider, SupportsMetadata))


async def begin(provider: AuthProvider, login: LoginRequest, seconds: float) -> Redirect | Form:
    """What the browser is shown first. Raises `BadGateway` or `LoginRefused`."""
    return await _asked(provider, lambda: provider.begin(login), _checked_step, seconds)


async def finish(provider: AuthProvider, callback: Callback, seconds: float) -> Identity:
    """Who signed in. Raises `BadGateway` or `LoginRefused`."""
    return await _asked(provider, lambda: provider.finish(callback), checked_identity, seconds)


def metadata(provider: AuthProvider, callback_url: str) -> tuple[str, bytes]:
    """Content type and bytes of the document for the other side; raises `NotFound` when there is none, or `BadGateway`."""
    made: object = provider
    if not isinstance(made, SupportsMetadata):
        raise NotFound(f"{_display_name(provider)} has no metadata document")
    try:
        content_type, document = made.metadata(callback_url)
        if not _CONTENT_TYPE.fullmatch(content_type) or not isinstance(document, bytes):
            raise Nonsense("its metadata is no document")
    except Exception:
        log.exception("an auth provider failed to make its metadata", provider=provider.name)
        raise _out_of_order(provider) from None
    return content_type, document


async def _asked(provider: AuthProvider, call: Callable[[], Awaitable[Any]], check: Callable[[Any], T], seconds: float) -> T:
    try:
        return check(await _within(call(), seconds))
    except TerrapodError:
        raise
    except LoginRefused as refusal:
        raise _plain(refusal) from None
    except ProviderUnavailable as away:
        reason = _sentence(away.reason, "it cannot be reached")
        log.warning("an auth provider is away", provider=provider.name, reason=reason)
    except Nonsense as nonsense:
        reason = str(nonsense)
        log.error("an auth provider answered nonsense", provider=provider.name, reason=reason)
    except TimeoutError:
        reason = f"it did not answer within {seconds:g} seconds"
        log.warning("an auth provider is too slow", provider=provider.name, seconds=seconds)
    except Exception:
        log.exception("an auth provider failed", provider=provider.name)
        reason = None
    raise _out_of_order(provider, reason)


async def _within(step: Awaitable[Any], seconds: float) -> Any:
    """Wait so long and no longer, also for code that does not let itself be cancelled. Raises `TimeoutError`."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise TimeoutError
    if task.cancelled():
        raise RuntimeError("the provider cancelled itself")
    return task.result()


def _plain(refusal: LoginRefused) -> LoginRefused:
    """The refusal, with a sentence that can be shown and a time that can be waited."""
    wait = refusal.retry_after
    seconds = min(max(wait, 1), 3600) if isinstance(wait, int) else None
    return LoginRefused(_sentence(refusal.reason, "this sign-in was refused"), retry_after=seconds)


def _out_of_order(provider: AuthProvider, reason: str | None = None) -> BadGateway:
    why = (reason or "it does not answer as it should").rstrip(".")
    return BadGateway(
        f"signing in with {_display_name(provider)} does not work at the moment: {why}; try again, or sign in another way",
        code="provider_unavailable",
    )


def _display_name(provider: AuthProvider) -> str:
    return _sentence(getattr(provider, "display_name", None), provider.name)[:80]


def _sentence(text: object, otherwise: str) -> str:
    """Text of a stranger, made fit to be shown in one line."""
    shown = "".join(each for each in text if each.isprintable()).strip() if isinstance(text, str) else ""
    return shown[:SENTENCE_LENGTH] or otherwise


# -- what a provider answered


def _checked_step(step: object) -> Redirect | Form:
    if isinstance(step, Redirect):
        return _checked_redirect(step)
    fields: object = step.fields if isinstance(step, Form) else None
    if not isinstance(fields, tuple) or not 1 <= len(fields) <= MOST_FIELDS:
        raise Nonsense("it began with neither a form nor a redirect")
    if not all(_is_field(field) for field in fields):
        raise Nonsense("a field of its form cannot be shown")
    names = {field.name for field in fields}
    if len(names) != len(fields) or OWN_FIELDS & names:
        raise Nonsense("the fields of its form need names of their own")
    return Form(fields)


def _is_field(field: object) -> bool:
    if not isinstance(field, FormField):
        return False
    autocomplete: object = field.autocomplete
    named = _is_text(field.name, 64) and _is_text(field.label, 200)
    return named and field.kind in _FIELD_KINDS and (autocomplete is None or _is_text(autocomplete, 64))


def _checked_redirect(step: Redirect) -> Redirect:
    if not _is_text(step.url, URL_LENGTH) or any(each.isspace() for each in step.url):
        raise Nonsense("it redirects to what is no URL")
    try:
        parts = urlsplit(step.url)
    except ValueError:
        raise Nonsense("it redirects to what is no URL") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise Nonsense("it redirects to what is no URL of a web page")
    try:
        remembered = msgspec.convert(step.remember, dict[str, str], strict=True)
    except msgspec.ValidationError:
        raise Nonsense("what it wants to remember is not text") from None
    if len(msgspec.json.encode(remembered)) > REMEMBERED_BYTES:
        raise Nonsense(f"it wants to remember more than {REMEMBERED_BYTES // 1024} KiB")
    return Redirect(step.url, remembered, returns_by_post=step.returns_by_post is True)


def checked_identity(identity: object) -> Identity:
    """The identity with its address in the form that is stored. Raises `Nonsense` for one that no user can be made of."""
    if not isinstance(identity, Identity):
        raise Nonsense("it did not say who signed in")
    if not _is_text(identity.subject, SUBJECT_LENGTH) or not _is_text(identity.issuer, ISSUER_LENGTH):
        raise Nonsense("it did not say who signed in: subject or issuer is empty, too long, or no text")
    types: tuple[object, ...] = (identity.email_verified, identity.username, identity.email)
    if not isinstance(types[0], bool) or not isinstance(types[1], str | None) or not isinstance(types[2], str):
        raise Nonsense("what it says about the account is of the wrong type")
    try:
        email = checked_email(identity.email)
    except Invalid:
        raise Nonsense("it gave no e-mail address") from None
    username = "".join(each for each in identity.username or "" if each.isprintable()).strip()
    return Identity(identity.subject, identity.issuer, email, identity.email_verified, username or None, _checked_groups(identity.groups))


def _checked_groups(groups: object) -> frozenset[str]:
    if not isinstance(groups, frozenset | set | tuple | list):
        raise Nonsense("the groups it names are no list")
    if len(groups) > MOST_GROUPS:
        raise Nonsense(f"it names more than {MOST_GROUPS} groups; let it send only those that roles are mapped to")
    if not all(_is_text(group, GROUP_LENGTH) for group in groups):
        raise Nonsense("the name of a group is empty, too long, or no text")
    return frozenset(groups)


def _is_text(value: object, longest: int) -> bool:
    """Whether it is a text with something in it and without control characters, surrogates and the like."""
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
