"""A real Chromium before a real server. Every request a page makes is noted: nothing may go anywhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.server import Server

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

expect.set_options(timeout=30_000)  # as for what a page does: five seconds are little on a busy machine


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, started once."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Person:
    """Somebody at a browser of their own."""

    page: Page
    server: Server
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """What the browser's console says went wrong: a blocked script, a refused style."""

    def open(self, path: str) -> None:
        """Go to a page of the server."""
        self.page.goto(self.server.url + path)

    def sign_in(self, path: str = "/app") -> None:
        """Open a page and sign in as the admin on the way."""
        self.open(path)
        self.page.fill("input[name=email]", self.server.email)
        self.page.fill("input[name=password]", self.server.password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_load_state()

    def elsewhere(self) -> list[str]:
        """Requests that left the server."""
        return [url for url in self.requested if not url.startswith((self.server.url, "data:"))]


@pytest.fixture
def person(chromium: Browser, server: Server) -> Iterator[Person]:
    """A person with no cookies yet; at the end nothing may have gone elsewhere and nothing may have been blocked."""
    context = chromium.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    person = Person(page, server)
    page.on("request", lambda request: person.requested.append(request.url))
    page.on("console", lambda message: person.complaints.append(message.text) if message.type == "error" else None)
    yield person
    context.close()
