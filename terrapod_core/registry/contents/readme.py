"""What an author wrote, fit to be shown to others: Markdown rendered, and of its HTML only what cannot do anything.

Nothing in it makes a browser ask another server by itself: pictures become links. Links lead to the web, to an address of mail, or
within the text; those to other files of the module would lead nowhere and become text.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from .structs import Readme
from .syntax import clean

READ_BYTES: Final = 256 * 1024
"""What is read of a text; the rest is not shown."""
PREFIX: Final = "readme-"
"""Before every name in the text, so that none is one of the page's."""

TAGS: Final = frozenset(
    {
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "code",
        "dd",
        "del",
        "details",
        "div",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "ins",
        "kbd",
        "li",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    }
)
ATTRIBUTES: Final = {
    "a": {"href", "title", "name", "id"},
    "abbr": {"title"},
    "code": {"class"},
    "ol": {"start"},
    "th": {"align", "colspan", "rowspan"},
    "td": {"align", "colspan", "rowspan"},
    **{f"h{level}": {"id"} for level in range(1, 7)},
}
_LANGUAGE: Final = re.compile(r"language-[A-Za-z0-9_+-]{1,40}")


def read(file: str, content: bytes) -> Readme:
    """A README of this path, as text and as HTML. Text that is no Markdown by its name is shown as it is."""
    text = clean(content[:READ_BYTES].decode("utf-8", "replace")).removeprefix("\ufeff")
    if file.lower().endswith(".txt"):
        return Readme(file=file, text=text, html=f"<pre>{escape(text, quote=False)}</pre>")
    return Readme(file=file, text=text, html=rendered(text))


def rendered(text: str) -> str:
    """Markdown as HTML that may stand in any page."""
    html: str = _markdown().render(text)
    return nh3.clean(
        html,
        tags=set(TAGS),
        clean_content_tags={"script", "style"},
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def _attribute(_tag: str, name: str, value: str) -> str | None:
    """The value that is kept; `None` takes the attribute away."""
    match name:
        case "href" if value.startswith("#"):
            return f"#{PREFIX}{value[1:]}"
        case "href":
            return value if value.lower().startswith(("http://", "https://", "mailto:")) else None
        case "id" | "name":
            return f"{PREFIX}{value}"
        case "class":
            return value if _LANGUAGE.fullmatch(value) else None
    return value


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    markdown.core.ruler.push("headings", _name_headings)
    markdown.core.ruler.push("pictures", _link_pictures)
    markdown.core.ruler.push("columns", _align_columns)
    return markdown


def _name_headings(state: StateCore) -> None:
    """Give headings the names that links of a table of contents have for them."""
    used: dict[str, int] = {}
    for opening, inline in zip(state.tokens, state.tokens[1:], strict=False):
        if opening.type == "heading_open":
            name = re.sub(r"[^\w\- ]", "", inline.content.lower()).strip().replace(" ", "-")
            used[name] = used.get(name, -1) + 1
            opening.attrSet("id", f"{name}-{used[name]}" if used[name] else name)


def _link_pictures(state: StateCore) -> None:
    """Put in place of a picture what it shows in words, as a link to it where it does not stand in one already."""
    for block in state.tokens:
        children: list[Token] = []
        inside = 0
        for token in block.children or []:
            inside += (token.type == "link_open") - (token.type == "link_close")
            children += _words(token, linked=not inside) if token.type == "image" else [token]
        if block.children:
            block.children = children


def _words(picture: Token, *, linked: bool) -> list[Token]:
    words = Token("text", "", 0, content=picture.content or "picture")
    if not linked:
        return [words]
    return [Token("link_open", "a", 1, attrs={"href": picture.attrGet("src") or ""}), words, Token("link_close", "a", -1)]


def _align_columns(state: StateCore) -> None:
    """Say by an attribute what is said by a style, which no page of ours allows in the text."""
    for token in state.tokens:
        style = str(token.attrs.pop("style", "")) if token.type in ("th_open", "td_open") else ""
        if style:
            token.attrSet("align", style.removeprefix("text-align:"))
