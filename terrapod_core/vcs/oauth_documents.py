"""What go-tfe's clients send about OAuth clients, in the words of connections.

There is no exchange of keys with the forge here: a connection is made with a token that somebody made there. What a token has no use for
is refused rather than forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from terrapod_core.errors import Invalid, Problem, Problems
from terrapod_core.jsonapi.refs import read_refs
from terrapod_core.plugin import VCSProvider

TOKEN: Final = "token"  # noqa: S105
"""The provider's field that `oauth-token-string` fills."""
SSH_KEY: Final = "ssh-key"
OF_APPLICATIONS: Final = ("key", "secret", "rsa-public-key", "private-key")
"""What OAuth applications have in a token's place."""
_WORDS: Final = {"base-url": "http-url", TOKEN: "oauth-token-string", "provider": "service-provider"}
_UNNAMED: Final = re.compile(r"[^A-Za-z0-9_. -]+")


@dataclass(frozen=True)
class Wanted:
    """A document, translated."""

    attributes: Mapping[str, Any]
    """Those of a connection, as `documents.read` takes them."""
    more: dict[str, Any] = field(default_factory=dict)
    """What `Sent` has beside them."""


@contextmanager
def in_their_words() -> Iterator[None]:
    """Name what is wrong with a connection by the attributes that these clients send."""
    try:
        yield
    except Invalid as error:
        raise Invalid(problems=tuple(map(_renamed, error.problems)), code=error.code) from error


def _renamed(problem: Problem) -> Problem:
    before, _, attribute = (problem.pointer or "").rpartition("/")
    if attribute not in _WORDS:
        return problem
    return replace(problem, detail=problem.detail.replace(attribute, _WORDS[attribute], 1), pointer=f"{before}/{_WORDS[attribute]}")


def new_client(
    attributes: Mapping[str, Any], relationships: Mapping[str, Any], providers: Mapping[str, VCSProvider], taken: Collection[str]
) -> Wanted:
    """What makes a client. `taken` are the names that there are, for a client without one. Raises `Invalid` with all that is wrong."""
    word = attributes.get("service-provider")
    provider = next((each for each in providers.values() if word in each.service_providers), None)
    if provider is None:
        known = ", ".join(sorted(each for one in providers.values() for each in one.service_providers)) or "none"
        raise Invalid(
            f"service-provider must be one that this server has a plugin for ({known})", pointer="/data/attributes/service-provider"
        )
    problems = Problems()
    if not any(each.name == TOKEN for each in provider.fields):
        problems.add(f"{provider.display_name} is not reached by a token; make a VCS connection instead", attribute="service-provider")
    elif not attributes.get("oauth-token-string"):
        problems.add(
            "oauth-token-string is needed: make an access token at the forge. "
            "A key and a secret of an OAuth application are not exchanged for one here",
            attribute="oauth-token-string",
        )
    _agree(attributes, provider.default_url, problems)
    more = _scope(attributes, relationships, problems)
    problems.refuse()
    more |= {"service_provider": word, "api_url": attributes.get("api-url") or None}
    return Wanted(
        {
            "provider": provider.name,
            "name": attributes.get("name") or _name(provider, taken),
            "base-url": attributes.get("http-url"),
            TOKEN: attributes.get("oauth-token-string"),
        },
        more,
    )


def changed_client(attributes: Mapping[str, Any], relationships: Mapping[str, Any]) -> Wanted:
    """What changes one; `null` and what is absent stay as they are. Raises `Invalid` with all that is wrong."""
    problems = Problems()
    for name in OF_APPLICATIONS:
        if attributes.get(name):
            problems.add(f"{name} is of an OAuth application, and has no use here; send oauth-token-string", attribute=name)
    more = _scope(attributes, relationships, problems)
    problems.refuse()
    kept = {"name": attributes.get("name"), TOKEN: attributes.get("oauth-token-string")}
    return Wanted({name: value for name, value in kept.items() if value is not None}, more)


def ssh_key(attributes: Mapping[str, Any], provider: VCSProvider) -> dict[str, Any]:
    """The attributes of a connection that a change of its token comes to. Raises `Invalid` where the forge has no use for a key."""
    if SSH_KEY not in attributes:
        return {}
    if not any(each.name == SSH_KEY for each in provider.fields):
        raise Invalid(
            f"An ssh-key has no use here: {provider.display_name} is asked over https, and submodules are not fetched",
            pointer="/data/attributes/ssh-key",
        )
    return {SSH_KEY: attributes[SSH_KEY]}


def _agree(attributes: Mapping[str, Any], default_url: str | None, problems: Problems) -> None:
    """Where a forge's API is follows from where the forge is; another address would be another forge, and no place for the token."""
    http, api = _server(attributes.get("http-url") or default_url), _server(attributes.get("api-url"))
    if attributes.get("api-url") and (api is None or (http is not None and api not in (http, f"api.{http}"))):
        problems.add(
            "api-url must be on the server that http-url names, or on api. of it: where the API is follows from http-url",
            attribute="api-url",
        )


def _server(url: object) -> str | None:
    if not isinstance(url, str) or not url:
        return None
    try:
        parts = urlsplit(url)
        return parts.netloc.lower() if parts.hostname and parts.scheme in ("http", "https") and "@" not in parts.netloc else None
    except ValueError:
        return None


def _scope(attributes: Mapping[str, Any], relationships: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """For which projects it is. Whoever names some means these alone."""
    if _data(relationships, "agent-pool"):
        problems.add("Forges are asked by the server, not by agents; leave agent-pool out", relationship="agent-pool")
    scoped = attributes.get("organization-scoped")
    if not isinstance(scoped, bool | None):
        problems.add("organization-scoped must be true or false", attribute="organization-scoped")
        return {}
    more: dict[str, Any] = {}
    named = _data(relationships, "projects")
    if named is not None:
        refs = read_refs(named, "project", "/data/relationships/projects/data")
        if isinstance(refs, Problem):
            problems.add(refs.detail, relationship="projects")
            return {}
        more["project_ids"] = sorted({each.id for each in refs if each.id})
    if scoped:
        more = {"project_ids": [], "organization_scoped": True}
    elif scoped is False or more.get("project_ids"):
        more["organization_scoped"] = False
    return more


def _data(relationships: Mapping[str, Any], name: str) -> Any:
    found = relationships.get(name)
    return found.get("data") if isinstance(found, dict) else None


def _name(provider: VCSProvider, taken: Collection[str]) -> str:
    """What a client without a name is called: as its forge, with a number when there are several."""
    base = _UNNAMED.sub(" ", provider.display_name).strip(" ._-") or provider.name
    return next(name for number in range(1, len(taken) + 2) if (name := base if number == 1 else f"{base} {number}") not in taken)
