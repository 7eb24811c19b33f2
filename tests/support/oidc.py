"""A real OpenID Connect provider: the certified `oidc-provider` from npm, started by the tests that sign in through it."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from tests.support import ROOT

PEER = ROOT / "tests/peers/oidc"
CLIENT_ID = "terrapod"
CLIENT_SECRET = "s3cret: with % and + in it"
INSTALL_SECONDS = 300
STEPS = 12
"""Pages and redirects between the authorization endpoint and the way back."""


@dataclass(frozen=True)
class IdentityProvider:
    """One that runs."""

    issuer: str

    def sign_in(self, url: str, name: str, callback_url: str) -> dict[str, str]:
        """What a person does who follows `url` and signs in as `name`; the query with which they are sent to `callback_url`."""
        with httpx.Client(trust_env=False, timeout=30) as browser:
            answer = browser.get(url)
            for _ in range(STEPS):
                if answer.is_redirect:
                    target = urljoin(str(answer.url), answer.headers["Location"])
                    if target.startswith(callback_url):
                        return {key: values[0] for key, values in parse_qs(urlsplit(target).query).items()}
                    answer = browser.get(target)
                    continue
                assert answer.status_code == 200, answer.text
                action, filled = _filled(answer, name)
                answer = browser.post(action, data=filled)
        raise AssertionError(f"the identity provider did not send the browser back:\n{answer.text}")


def _filled(page: httpx.Response, name: str) -> tuple[str, dict[str, str]]:
    """Where the page's form goes, and what is sent: the sign-in or the consent that follows it."""
    action, prompt = re.search(r'action="([^"]+)"', page.text), re.search(r'name="prompt" value="(\w+)"', page.text)
    assert action, page.text
    assert prompt, page.text
    return urljoin(str(page.url), action[1]), {"prompt": prompt[1], "login": name, "password": "any"}


def client(*callback_urls: str, **more: object) -> dict[str, object]:
    """A client as the provider knows it: by default with a secret in the header."""
    usual = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": list(callback_urls),
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
    }
    return usual | more


@contextmanager
def identity_provider(
    clients: Sequence[Mapping[str, Any]], people: Mapping[str, Mapping[str, Any]] | None = None, *, port: int = 0
) -> Iterator[IdentityProvider]:
    """Start one that is gone at the end; skips the test where Node.js is not installed.

    `people` says which claims of a person differ from the usual ones: `{"bob": {"email_verified": False}}`. `port` is for a
    server that has to know the issuer before it runs; 0 takes a free one.
    """
    node = installed()
    options = json.dumps({"clients": clients, "people": people or {}, "port": port})
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [node, "idp.mjs", options],
            cwd=PEER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            issuer = process.stdout.readline().strip()
            complaints.seek(0)
            assert issuer, complaints.read().decode()
            yield IdentityProvider(issuer)
        finally:
            process.kill()
            process.communicate()


def installed() -> str:
    """The program `node`, with the provider's packages in place; skips the test where that cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        pytest.skip("no Node.js on PATH (Debian: apt-get install nodejs npm)")
    with (PEER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if not _is_complete():
            if npm is None:
                pytest.skip("the packages of tests/peers/oidc are not installed, and there is no npm to do it")
            _install(npm)
    return node


def _is_complete() -> bool:
    """Whether what is installed is what the lock file says."""
    kept = PEER / "node_modules/.installed"
    return kept.is_file() and kept.read_bytes() == (PEER / "package-lock.json").read_bytes()


def _install(npm: str) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    done = subprocess.run(command, cwd=PEER, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install the packages of tests/peers/oidc: {done.stderr.strip()[-500:]}")
    lock_file: Path = PEER / "package-lock.json"
    (PEER / "node_modules/.installed").write_bytes(lock_file.read_bytes())
