"""A browser for pages without scripts: cookies, links, forms, and the headers that tell where a form came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx

from tests.support.server import Server


@dataclass
class Form:
    """A form of a page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    """Names and values as the page filled them in; of several buttons, that of the first."""


@dataclass(frozen=True)
class Page:
    """What the browser shows."""

    url: str
    status: int
    text: str
    forms: tuple[Form, ...]
    links: tuple[str, ...] = ()

    def link(self, part: str) -> str:
        """Where the link leads whose address has this in it."""
        found = [link for link in self.links if part in link]
        assert len(found) == 1, f"{len(found)} links with {part} in {self.url} ({self.status}):\n{self.text}"
        return found[0]

    def form(self, action: str) -> Form:
        """The form that is sent to this path."""
        found = [form for form in self.forms if urlsplit(form.action).path == action]
        assert len(found) == 1, f"{len(found)} forms for {action} in {self.url} ({self.status}):\n{self.text}"
        return found[0]


class Browser:
    """One person's browser. It follows redirects, also to other servers of this machine."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.Client(
            verify=server.trust, follow_redirects=True, trust_env=False, timeout=30, headers={"Accept": "text/html,*/*;q=0.8"}
        )

    def open(self, url: str) -> Page:
        """Follow a link from elsewhere."""
        return self._send(self._client.build_request("GET", url))

    def submit(self, page: Page, form: Form, *, origin: str | None = None, **filled: str) -> Page:
        """Send a form, with what the person filled in; `origin` is that of another site whose script does it."""
        here = urlsplit(page.url)
        own = f"{here.scheme}://{here.netloc}"
        headers = {"Origin": origin or own, "Sec-Fetch-Site": "cross-site" if origin else "same-origin", "Referer": page.url}
        return self._send(self._client.build_request(form.method, form.action, data=form.fields | filled, headers=headers))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _send(self, request: httpx.Request) -> Page:
        try:
            answer = self._client.send(request)
        except httpx.RemoteProtocolError as error:
            # terraform's own small server may be gone before it has said that it got the code.
            if error.request.url.netloc == request.url.netloc:
                raise
            return Page(str(error.request.url), 0, "", ())
        reader = _Forms(str(answer.url))
        reader.feed(answer.text)
        return Page(str(answer.url), answer.status_code, answer.text, tuple(reader.forms), tuple(reader.links))


class _Forms(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.forms: list[Form] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(urljoin(self._url, values.get("action", "")), values.get("method", "get").upper()))
        elif tag == "a" and values.get("href"):
            self.links.append(urljoin(self._url, values["href"]))
        elif tag in ("input", "button") and self.forms and values.get("name"):
            self.forms[-1].fields.setdefault(values["name"], values.get("value", ""))
