"""The auth provider `local`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zxcvbn import zxcvbn

from terrapod_auth_password.hashing import Hashing, spelled
from terrapod_auth_password.settings import PasswordAuthSettings
from terrapod_core.plugin import (
    Callback,
    Form,
    FormField,
    Identity,
    LoginRefused,
    LoginRequest,
    PasswordRefused,
    PasswordStore,
    StoredPassword,
)

NAME: Final = "local"
LONGEST: Final = 1024
JUDGED: Final = 72
"""Characters that zxcvbn looks at; it takes minutes over long texts, and what is that long is hard to guess."""

WRONG: Final = "the e-mail address or the password is wrong"

FORM: Final = Form(
    (
        FormField("email", "E-mail address", kind="email", autocomplete="username"),
        FormField("password", "Password", kind="password", autocomplete="current-password"),
    )
)


class PasswordProvider:
    """Knows people by an e-mail address and a password."""

    name = NAME
    display_name = "E-mail and password"

    def __init__(self, passwords: PasswordStore, hashing: Hashing, settings: PasswordAuthSettings) -> None:
        self._passwords = passwords
        self._hashing = hashing
        self._settings = settings
        self._nobodys: str | None = None

    async def begin(self, login: LoginRequest) -> Form:
        """The form, the same for everybody."""
        return FORM

    async def finish(self, callback: Callback) -> Identity:
        """Who it is; `LoginRefused` with one sentence for an unknown address and for a wrong password, after the same work."""
        email, password = callback.values.get("email", ""), callback.values.get("password", "")
        if not email or not password:
            raise LoginRefused("fill in the e-mail address and the password")
        if len(password) > LONGEST:
            raise LoginRefused(WRONG)
        nobodys = await self._hash_of_nobody()
        stored = await self._passwords.find(email)
        matches = await self._hashing.verify(stored.hash if stored else nobodys, password)
        if stored is None or not matches:
            raise LoginRefused(WRONG)
        await self._renew(stored, password)
        return Identity(subject=stored.user_id, issuer=NAME, email=stored.email, email_verified=True, username=stored.username)

    async def hash_password(self, password: str, *, known: Sequence[str] = ()) -> str:
        """The hash to store; `PasswordRefused` says why a password may not be set."""
        password = spelled(password)
        if not self._settings.min_length <= len(password) <= LONGEST:
            raise PasswordRefused(f"a password has {self._settings.min_length} to {LONGEST} characters")
        score, advice = await self._hashing.apart(lambda: judge(password, known))
        if score < self._settings.min_strength:
            raise PasswordRefused(f"this password is too easy to guess: {advice}")
        return await self._hashing.hash(password)

    async def _renew(self, stored: StoredPassword, password: str) -> None:
        """Hash again with today's parameters. Whatever goes wrong with it is no reason to refuse the right password."""
        if not self._hashing.is_outdated(stored.hash):
            return
        try:
            await self._passwords.save(stored.user_id, await self._hashing.hash(password))
        except (LoginRefused, KeyError):
            return

    async def _hash_of_nobody(self) -> str:
        """What an unknown address is checked against. Made at the first sign-in, whoever that is."""
        if self._nobodys is None:
            self._nobodys = await self._hashing.hash("the password of nobody")
        return self._nobodys


def judge(password: str, known: Sequence[str]) -> tuple[int, str]:
    """zxcvbn's score, 0 to 4, and its advice. Names and addresses count as words that a guesser tries first."""
    words = {part for word in known for part in (word, *word.replace("@", " ").replace(".", " ").split()) if part}
    result = zxcvbn(password[:JUDGED], user_inputs=sorted(words))
    feedback = result["feedback"]
    advice = " ".join(part for part in (feedback["warning"], *feedback["suggestions"]) if part)
    return int(result["score"]), advice or "use a phrase of several uncommon words."
