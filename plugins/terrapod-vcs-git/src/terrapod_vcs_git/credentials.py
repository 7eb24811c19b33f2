"""What a connection signs in with: a token over HTTPS, a key over SSH."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from terrapod_core.plugin import Field, Unreadable
from terrapod_vcs_git.addresses import Base

FIELDS: Final = (
    Field("username", "User name", secret=False, help="For https; a server that knows people by the token alone takes any. Default: git."),
    Field("token", "Token or password", help="For https. It needs the right to read, and none to write."),
    Field("ssh-key", "Private key", lines=True, help="For ssh, without a passphrase: the private half of a deploy key."),
    Field("known-hosts", "Host keys", secret=False, lines=True, help="For ssh: the lines that ssh-keyscan prints, once you compared them."),
    Field("check-repository", "Repository to check with", secret=False, help="It is read to see whether the credentials are accepted."),
)

_OF: Final = {"username": "https", "token": "https", "ssh-key": "ssh", "known-hosts": "ssh"}
_PRIVATE: Final = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n(.+)\n-----END (?:[A-Z]+ )?PRIVATE KEY-----\n", re.DOTALL)
_MAGIC: Final = b"openssh-key-v1\0\0\0\0\4none"
_HOST_LINE: Final = re.compile(r"(@(cert-authority|revoked) +)?\S+ +[a-z0-9@.-]+ +[A-Za-z0-9+/]+=*( .*)?")


def check(values: Mapping[str, str], base: Base) -> None:
    """Raises `Unreadable` unless the values are those that this kind of address is asked with."""
    strange = next((name for name, scheme in _OF.items() if values.get(name) and scheme != base.scheme), None)
    if strange is not None:
        raise Unreadable(f"{strange} is for {_OF[strange]} addresses, and this one is {base.scheme}.", strange)
    if base.scheme == "https":
        authorization(values)
        return
    for name in ("ssh-key", "known-hosts"):
        if not values.get(name, "").strip():
            raise Unreadable(f"An ssh address needs {name}.", name)
    _check_key(lines(values["ssh-key"]))
    hosts = [each for each in lines(values["known-hosts"]).splitlines() if each.strip() and not each.startswith("#")]
    wrong = next((number for number, each in enumerate(hosts, 1) if not _HOST_LINE.fullmatch(each.strip())), None)
    if wrong is not None or not hosts:
        raise Unreadable(f"Line {wrong or 1} of known-hosts is no host key as ssh-keyscan prints it: host, kind and key.", "known-hosts")


def authorization(values: Mapping[str, str]) -> str | None:
    """The header for HTTPS; `None` for a connection that signs in nowhere. Raises `Unreadable`."""
    username, token = values.get("username", ""), values.get("token", "")
    if not token:
        if username:
            raise Unreadable("A username needs a token, too; leave both out for repositories that anybody may read.", "token")
        return None
    for name, value in (("username", username), ("token", token)):
        if not value.isprintable() or (name == "username" and ":" in value):
            raise Unreadable(f"The {name} holds characters that none can have.", name)
    pair = f"{username or 'git'}:{token}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def lines(text: str) -> str:
    """Text of several lines as ssh reads it: with an end of line that is LF, also after the last."""
    return "\n".join(each.rstrip() for each in text.strip().splitlines()) + "\n"


def _check_key(text: str) -> None:
    found = _PRIVATE.fullmatch(text)
    if found is None:
        raise Unreadable("This is no private key: give the whole file that ssh-keygen made, not the one ending in .pub.", "ssh-key")
    locked = "ENCRYPTED" in text
    if "OPENSSH" in text:
        try:
            locked = not base64.b64decode(found[1].replace("\n", ""), validate=True).startswith(_MAGIC)
        except binascii.Error:
            raise Unreadable("The private key is damaged.", "ssh-key") from None
    if locked:
        raise Unreadable("The private key has a passphrase, which nobody could type here. Make one without.", "ssh-key")
