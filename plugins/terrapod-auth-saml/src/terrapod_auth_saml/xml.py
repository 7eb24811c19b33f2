"""XML of strangers: read without entities, within limits, and with the names that SAML uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from lxml import etree

from terrapod_auth_saml.refusal import Refusal

Element: TypeAlias = "etree._Element"

MOST_BYTES: Final = 256 * 1024
DEEPEST: Final = 48

SAML: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
MD: Final = "{urn:oasis:names:tc:SAML:2.0:metadata}"
DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
XENC: Final = "{http://www.w3.org/2001/04/xmlenc#}"
EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"

BINDINGS: Final = "urn:oasis:names:tc:SAML:2.0:bindings:"
HTTP_POST: Final = BINDINGS + "HTTP-POST"
HTTP_REDIRECT: Final = BINDINGS + "HTTP-Redirect"

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|[+-]00:00)")


class _Screen:
    """Watches a document go by, and ends the reading at the first thing that SAML has no use for."""

    def __init__(self) -> None:
        self._depth = 0

    def start(self, tag: str | bytes, attrib: Mapping[str | bytes, str | bytes]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Refusal(f"elements are nested more than {DEEPEST} deep")

    def end(self, tag: str | bytes) -> None:
        self._depth -= 1

    def data(self, data: str | bytes) -> None:
        """Text is welcome."""

    def comment(self, text: str | bytes) -> None:
        # Signatures do not cover comments, and readers differ in what they make of text around one.
        raise Refusal("it holds a comment")

    def pi(self, target: str, data: str | None = None) -> None:
        raise Refusal("it holds a processing instruction")

    def doctype(self, name: str | None, public: str | None, system: str | None) -> None:
        raise Refusal("it holds a document type declaration")

    def close(self) -> None:
        """Nothing is kept."""


def read(document: bytes, *, most: int = MOST_BYTES) -> Element:
    """The root of a document without document type, comments and processing instructions, of bounded size and depth.

    Raises `Refusal`.
    """
    if len(document) > most:
        raise Refusal(f"it has more than {most // 1024} KiB")
    try:
        etree.fromstring(document, _parser(_Screen()))
        root: Element = etree.fromstring(document, _parser())
    except (etree.XMLSyntaxError, ValueError):
        raise Refusal("it is not well-formed XML") from None
    return root


def _parser(target: _Screen | None = None) -> etree.XMLParser:
    return etree.XMLParser(target=target, resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False)


def only(parent: Element, tag: str) -> Element:
    """The one child of this name; `Refusal` when there is none, or several."""
    found = parent.findall(tag)
    if len(found) != 1:
        raise Refusal(f"{local(parent)} has {len(found)} {tag.partition('}')[2]} where one belongs")
    return found[0]


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return etree.QName(element).localname


def children(parent: Element) -> list[str]:
    """The names of the children, in order."""
    return [str(child.tag) for child in parent]


def text_of(element: Element) -> str:
    """All the text directly in an element that has no elements inside, without white space around it."""
    if len(element):
        raise Refusal(f"{local(element)} holds elements where text belongs")
    return (element.text or "").strip()


def instant(element: Element, name: str) -> datetime | None:
    """A moment that an attribute says; `None` without the attribute, `Refusal` when it is no moment in UTC."""
    text = element.get(name)
    if text is None:
        return None
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise Refusal(f"{name} of {local(element)} is no time in UTC")
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        raise Refusal(f"{name} of {local(element)} is no time in UTC") from None
