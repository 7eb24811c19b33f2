"""How commands that are clients of a server reach it: which certificate it may show, and that the way there is encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from terrapod_core.cli.common import UsageProblem
from terrapod_core.plugin.commands import OPTIONS
from terrapod_core.settings import check_base_url

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

_, _, certificate_option, plain_http_option = OPTIONS


def is_encrypted(url: str, what: str, *, plain_http: bool) -> bool:
    """Whether nobody on the way reads `what` on this base URL. Raises `UsageProblem` for one that is none, or not encrypted unless
    `plain_http` accepts that; on the machine itself nobody is on the way.
    """
    try:
        check_base_url("--url", url)
    except ValueError as error:
        raise UsageProblem(str(error)) from error
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in LOOPBACK:
        return True
    if not plain_http:
        raise UsageProblem(f"{url} is not encrypted: whoever is on the way reads {what}. Use https, or accept it with --plain-http")
    return False


def pem(path: Path | None) -> str | None:
    """The certificate of `--certificate`, of which the first in the file counts."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    if path is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageProblem(f"--certificate: {path} holds no certificate in PEM: {error}") from error
    return certificate.public_bytes(Encoding.PEM).decode()
