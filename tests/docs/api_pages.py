"""Pages of the reference about the two doors: HTTP routes, and what plugins implement."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from terrapod_core import plugin
from terrapod_core.app import Terrapod
from terrapod_core.plugin import hookspecs
from terrapod_core.plugin.hookspecs import HOOKS
from tests.docs.core_pages import bare_settings
from tests.docs.markdown import code, prose, table
from tests.docs.route_words import SECTIONS, Section

PROVIDERS: Final = {
    "Storage backends": (plugin.StorageBackend, plugin.SupportsSignedURLs),
    "Auth providers": (plugin.AuthProvider, plugin.SupportsPasswords),
    "Runner backends": (
        plugin.RunnerBackend,
        plugin.SupportsCapacity,
        plugin.SupportsFinding,
        plugin.SupportsTidying,
        plugin.SupportsIsolation,
        plugin.SupportsSelfTest,
        plugin.StaysInPlace,
        plugin.SharesNetwork,
    ),
    "Coordination backends": (plugin.CoordinationBackend, plugin.SupportsMetering),
    "Registry mirrors": (plugin.RegistryMirror,),
    "VCS providers": (
        plugin.VCSProvider,
        plugin.VCSClient,
        plugin.SupportsWebhooks,
        plugin.SupportsPullRequests,
        plugin.SupportsChangedFiles,
        plugin.SupportsCommitStatuses,
        plugin.SupportsComments,
        plugin.SupportsInstallations,
        plugin.SupportsListing,
    ),
}
"""The Protocols of each kind of plugin; those after the first are capabilities."""


class Route(NamedTuple):
    """One line of the application's URL map."""

    method: str
    path: str

    @property
    def key(self) -> str:
        """As `ROUTES` names it."""
        return f"{self.method} {self.path}"


def url_map() -> list[Route]:
    """Every route of the whole application, HEAD and OPTIONS left out: they come with the others."""
    with bare_settings() as settings:
        app = Terrapod(settings, jobs=False).app
    rules = {
        Route(method, re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    return sorted(rules, key=lambda route: (route.path, route.method))


def undocumented() -> list[str]:
    """Routes without words, and words without a route."""
    there = {route.key for route in url_map()}
    described = {route.key for section in SECTIONS for route in _of(section)}
    return [f"{key} has no words" for key in sorted(there - described)] + [f"{key} is no route" for key in sorted(described - there)]


def routes() -> str:
    """The URL map by section, with what each route is. Raises `LookupError` when `route_words` does not fit it."""
    problems = undocumented()
    if problems:
        raise LookupError("tests/docs/route_words: " + "; ".join(problems))
    text = (
        "# Routes\n\n"
        "Paths, methods and attributes are those of the Terraform Enterprise V2 API where that API has the thing. Bodies are JSON:API\n"
        "documents. Answers are `application/json`, or `application/vnd.api+json` when the request's `Accept` names it.\n"
        "`{org}` is always `default`. Lists take `page[number]` and `page[size]` (20, at most 100).\n"
    )
    for section in SECTIONS:
        rows = ([route.method, code(route.path), words] for route, words in _of(section).items())
        text += f"\n## {section.title}\n\n{section.credential}\n\n" + table(("method", "path", "what it does"), rows)
    return text


def _of(section: Section) -> dict[Route, str]:
    """A section's routes and their words, by path."""
    found = {Route(method, section.base + path): words for key, words in section.words.items() for method, path in [key.split(" ", 1)]}
    return dict(sorted(found.items(), key=lambda each: (each[0].path, each[0].method)))


def hooks() -> str:
    """Hooks, and the Protocols of what they register."""
    text = f"# Hooks and Protocols\n\n{prose(hookspecs)}\n\nHow to use them: [Write a plugin](../how-to/write-a-plugin.md).\n\n## Hooks\n"
    for name in HOOKS:
        hook = getattr(hookspecs, name)
        text += f"\n### {name}\n\n```python\n{_signature(name, hook)}\n```\n\n{prose(hook)}\n"
    for title, protocols in PROVIDERS.items():
        text += f"\n## {title}\n"
        for protocol in protocols:
            text += f"\n### {protocol.__name__}\n\n{prose(protocol)}\n\n" + "".join(_members(protocol))
    text += "\n## Exports\n\n`terrapod_core.plugin` exports, and a plugin may import:\n\n"
    return text + ", ".join(code(name) for name in plugin.__all__) + ".\n"


def _members(protocol: type) -> Iterator[str]:
    for name, member in vars(protocol).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            assert member.fget is not None
            yield f"- `{name}: {inspect.signature(member.fget).return_annotation}`. {_one_line(member)}\n"
        elif inspect.isfunction(member):
            yield f"- `{_signature(name, member)}`. {_one_line(member)}\n"


def _signature(name: str, function: object) -> str:
    """As the source says it, without `self`. Annotations are text already, because of the `annotations` import."""
    assert callable(function)
    signature = inspect.signature(function)
    shown: list[str] = []
    for each in signature.parameters.values():
        if each.name == "self":
            continue
        if each.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        default = "" if each.default is inspect.Parameter.empty else f" = {each.default!r}"
        shown.append(f"{each.name}: {each.annotation}{default}")
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{kind} {name}({', '.join(shown)}) -> {signature.return_annotation}"


def _one_line(thing: object) -> str:
    return prose(thing).replace("\n\n", " ")
