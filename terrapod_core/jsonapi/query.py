"""What a list request asks for in its query string."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from terrapod_core.errors import BadRequest
from terrapod_core.jsonapi.page import MAX_PAGE_SIZE, NUMBER, SIZE, PageRequest

MAX_PAGE_NUMBER: Final = 1_000_000_000
"""Further pages are refused: their offset would not fit the database's integers."""

MAX_TAGS: Final = 50
"""Conditions of `filter[tagged]`; each is a subquery."""


@dataclass(frozen=True)
class Tagged:
    """One condition of `filter[tagged][i]`; a `value` of `None` asks for the key alone."""

    key: str
    value: str | None


@dataclass(frozen=True)
class Sort:
    """One key of `sort`, in snake_case with dots; `-` in front of it on the wire is `descending`."""

    name: str
    descending: bool


@dataclass(frozen=True)
class Query:
    """A query string, read. Keys it does not know are ignored: go-tfe sends junk such as `TagBindings={ app web}`.

    Names are snake_case with dots whatever the client wrote: `filter[current-run][status]` is `filter("current_run.status")`.
    """

    page: PageRequest = field(default_factory=PageRequest)
    paginated: bool = False
    """Whether a page was asked for; some lists are whole unless it was."""
    include: tuple[tuple[str, ...], ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    searches: Mapping[str, str] = field(default_factory=dict)
    tagged: tuple[Tagged, ...] = ()
    sort: tuple[Sort, ...] = ()
    q: str | None = None

    @classmethod
    def parse(cls, items: Iterable[tuple[str, str]] | Mapping[str, str]) -> Query:
        """Read decoded pairs of key and value; of a repeated key the first counts.

        `BadRequest`, naming the parameter, for a page that is no positive number and for text that no database can hold.
        """
        values: dict[str, str] = {}
        for key, value in items.items() if isinstance(items, Mapping) else items:
            values.setdefault(key, value)
        filters: dict[str, str] = {}
        searches: dict[str, str] = {}
        tagged: dict[str, dict[str, str]] = {}
        for key, value in values.items():
            family, *names = _brackets(key)
            if family == "filter" and len(names) == 3 and names[0] == "tagged":
                tagged.setdefault(names[1], {})[names[2]] = _text(key, value)
            elif family == "filter" and names:
                filters[_dotted(names)] = _text(key, value)
            elif family == "search" and names:
                searches[_dotted(names)] = _text(key, value)
        return cls(
            page=PageRequest(_page_number(values), _page_size(values)),
            paginated=NUMBER in values or SIZE in values,
            include=_include(values.get("include", "")),
            filters=filters,
            searches=searches,
            tagged=_tagged(tagged),
            sort=_sort(values.get("sort", "")),
            q=_text("q", values["q"]) if values.get("q") else None,
        )

    def filter(self, name: str) -> str | None:
        """The value of `filter[a][b]` by the name `a.b`, either spelling; `None` when it was not sent."""
        return self.filters.get(_snake(name))

    def filter_list(self, name: str) -> tuple[str, ...]:
        """The same as a list separated by commas; empty when it was not sent or holds nothing."""
        return _listed(self.filter(name))

    def search(self, name: str) -> str | None:
        """The value of `search[x]`; `None` when it was not sent."""
        return self.searches.get(_snake(name))

    def search_list(self, name: str) -> tuple[str, ...]:
        """The same as a list separated by commas."""
        return _listed(self.search(name))


def _brackets(key: str) -> list[str]:
    """`filter[a][b]` as `["filter", "a", "b"]`; a key of another form as itself."""
    family, bracket, rest = key.partition("[")
    if not bracket or not rest.endswith("]"):
        return [key]
    names = rest[:-1].split("][")
    return [key] if any(not name or "[" in name or "]" in name for name in names) else [family, *names]


def _snake(name: str) -> str:
    return name.replace("-", "_")


def _dotted(names: list[str]) -> str:
    return _snake(".".join(names))


def _listed(value: str | None) -> tuple[str, ...]:
    return tuple(part for part in map(str.strip, (value or "").split(",")) if part)


def _text(parameter: str, value: str) -> str:
    """The value, unless it holds what PostgreSQL refuses as text: a zero character, or half a surrogate pair."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadRequest(f"{parameter} holds a character that is not text", parameter=parameter)
    return value


def _page_number(values: Mapping[str, str]) -> int:
    text = values.get(NUMBER, "1")
    digits = _digits(text)
    if digits is None:
        raise BadRequest("page[number] must be a whole number, 1 or more", parameter=NUMBER)
    if len(digits) > 10 or int(digits) > MAX_PAGE_NUMBER:
        raise BadRequest(f"page[number] must be at most {MAX_PAGE_NUMBER}", parameter=NUMBER)
    return int(digits)


def _page_size(values: Mapping[str, str]) -> int:
    if SIZE not in values:
        return PageRequest().size
    digits = _digits(values[SIZE])
    if digits is None:
        raise BadRequest(f"page[size] must be a whole number between 1 and {MAX_PAGE_SIZE}", parameter=SIZE)
    return MAX_PAGE_SIZE if len(digits) > 3 else min(int(digits), MAX_PAGE_SIZE)


def _digits(text: str) -> str | None:
    """The number without its leading zeros; `None` when it is not one, or is zero. Digits of other scripts do not count."""
    return text.lstrip("0") or None if text.isascii() and text.isdigit() else None


def _include(text: str) -> tuple[tuple[str, ...], ...]:
    paths = (tuple(part for part in _snake(path).split(".") if part) for path in _listed(text))
    return tuple(dict.fromkeys(path for path in paths if path))


def _sort(text: str) -> tuple[Sort, ...]:
    keys = (Sort(_snake(key.lstrip("-")), key.startswith("-")) for key in _listed(text))
    return tuple(key for key in keys if key.name)


def _tagged(found: Mapping[str, Mapping[str, str]]) -> tuple[Tagged, ...]:
    if len(found) > MAX_TAGS:
        raise BadRequest(f"filter[tagged] takes at most {MAX_TAGS} conditions", parameter="filter[tagged]")
    return tuple(Tagged(one["key"], one.get("value")) for one in found.values() if one.get("key"))
