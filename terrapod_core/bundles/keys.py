"""Whose bundle it is: Ed25519 signatures over manifests, the key that this server makes them with, and the keys that it trusts.

A key is named by its fingerprint, the SHA-256 of its 32 bytes. It stays the same while the keys of the installation are rotated: it lies
sealed under those.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from terrapod_core.audit import record
from terrapod_core.authz import SYSTEM
from terrapod_core.bundles.models import BUNDLE_KEY, BundleKey, TrustedBundleKey
from terrapod_core.bundles.problems import BundleError, damaged
from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.secrets import Keyring

OWN: Final = "server"
PUBLIC_BYTES: Final = 32

_LABEL: Final = b"terrapod-bundle-manifest-v1\0"
"""Signed in front of the manifest, so that a signature is never one over anything else."""
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def fingerprint(public: bytes) -> str:
    """What people compare: 64 hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()


def read_fingerprint(text: str) -> str:
    """As it was copied, perhaps with blanks, colons or capitals. Raises `BundleError`."""
    found = re.sub(r"[\s:]", "", text).lower().removeprefix("sha256")
    if _FINGERPRINT.fullmatch(found) is None:
        raise BundleError(f"{text[:80]!r} is no fingerprint of a key: those are 64 hexadecimal digits, as the export shows them")
    return found


def signer_of(manifest: bytes, signature: bytes) -> bytes:
    """The public key that is in `signature` and made it over this manifest. Raises `BundleError`."""
    public = signature[:PUBLIC_BYTES]
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature[PUBLIC_BYTES:], _LABEL + manifest)
    except (InvalidSignature, ValueError):
        raise damaged("the signature does not belong to its manifest") from None
    return public


class BundleKeys:
    """The server's own key, and those that it trusts."""

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring

    async def sign(self, manifest: bytes) -> bytes:
        """The public key, and the signature: 96 bytes."""
        key = await self.own()
        secret = Ed25519PrivateKey.from_private_bytes(self._keyring.open(key.secret, column=BUNDLE_KEY, row=key.id))
        return key.public + secret.sign(_LABEL + manifest)

    async def own(self) -> BundleKey:
        """The server's key, made now if there is none yet."""
        found = await self._own()
        if found is not None:
            return found
        made = Ed25519PrivateKey.generate()
        try:
            async with self._db.uow() as uow:
                sealed = self._keyring.seal(made.private_bytes_raw(), column=BUNDLE_KEY, row=OWN)
                uow.add(BundleKey(id=OWN, public=made.public_key().public_bytes_raw(), secret=sealed, created_at=uow.now()))
                await uow.commit()
        except IntegrityError:
            pass  # another process was quicker, and what it made is the key
        found = await self._own()
        assert found is not None
        return found

    async def trusted(self) -> Sequence[TrustedBundleKey]:
        """Whose bundles are loaded without being asked."""
        return await self._db.read(
            lambda session: session.execute(select(TrustedBundleKey).order_by(TrustedBundleKey.trusted_at)).scalars().all()
        )

    async def trust(self, key: str, server: str) -> None:
        """Load bundles of this key from now on."""
        async with self._db.uow() as uow:
            if await uow.run(lambda session: session.get(TrustedBundleKey, key)) is None:
                uow.add(TrustedBundleKey(fingerprint=key, server=server, trusted_at=uow.now()))
                record(uow, SYSTEM, "bundle-key.trust", "bundle-keys", key, server=server)
            await uow.commit()

    async def distrust(self, key: str) -> None:
        """Load bundles of this key no more; what was loaded stays. Raises `NotFound`."""
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: session.get(TrustedBundleKey, key))
            if row is None:
                raise NotFound(f"the key {key} is not trusted here")
            await uow.session.delete(row)
            record(uow, SYSTEM, "bundle-key.distrust", "bundle-keys", key, server=row.server)
            await uow.commit()

    async def check(self, public: bytes, server: str, trust: str | None) -> None:
        """Pass when this key is trusted, or is what `trust` names; then it is trusted from now on. Raises `BundleError`."""
        key = fingerprint(public)
        if trust is not None and read_fingerprint(trust) != key:
            raise BundleError(f"the bundle is signed with the key {key}, and --trust names another")
        own = await self._own()
        if key in {each.fingerprint for each in await self.trusted()} or (own is not None and own.public == public):
            return
        if trust is None:
            raise BundleError(
                f"the bundle is signed with the key {key} of a server that calls itself {server!r}, which is not trusted here. Compare it "
                "with what `terrapod bundle key` prints on that server; when they are the same, call this again with "
                f"--trust {key}"
            )
        await self.trust(key, server)

    async def _own(self) -> BundleKey | None:
        return await self._db.read(lambda session: session.get(BundleKey, OWN))
