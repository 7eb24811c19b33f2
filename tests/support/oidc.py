"""A real OpenID Connect provider: the certified `oidc-provider` from npm, started by the tests that sign in through it."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from tests.support.npm import node_for

CLIENT_ID = "terrapod"
CLIENT_SECRET = "s3cret: with % and + in it"
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
    node, folder = node_for("oidc")
    options = json.dumps({"clients": clients, "people": people or {}, "port": port})
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [node, "idp.mjs", options],
            cwd=folder,
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
