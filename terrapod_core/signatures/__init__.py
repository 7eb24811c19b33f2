"""Signed requests: who holds a listener's key proves it with every request (RFC 9421, with the digest of RFC 9530).

One profile and nothing beside it, for both ends: the server checks here, and a listener signs here. It imports nothing but the
standard library and `cryptography`, so that a listener starts without the rest of the server.

Written here because the profile is narrower than what libraries read: `http-message-signatures` takes several signatures, other
components and other parameters, and compares with the machine's own clock, which no test can turn.
"""

from __future__ import annotations

from terrapod_core.signatures.keys import Algorithm, PrivateKey, PublicKey, algorithm_of, new_key
from terrapod_core.signatures.messages import TAG, Message, digest_of, with_default_port
from terrapod_core.signatures.parsing import NotSigned, Signature, parse
from terrapod_core.signatures.signing import Signer

__all__ = [
    "TAG",
    "Algorithm",
    "Message",
    "NotSigned",
    "PrivateKey",
    "PublicKey",
    "Signature",
    "Signer",
    "algorithm_of",
    "digest_of",
    "new_key",
    "parse",
    "with_default_port",
]
