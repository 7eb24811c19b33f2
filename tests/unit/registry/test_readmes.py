"""READMEs of strangers in pages of ours."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, strategies as st

from terrapod_core.registry.contents.licence import identifier
from terrapod_core.registry.contents.readme import ATTRIBUTES, PREFIX, READ_BYTES, TAGS, read, rendered
from tests.support import ROOT

REL = 'rel="noopener noreferrer nofollow"'

SHOWN = {
    "*a* `b` ~~c~~": "<p><em>a</em> <code>b</code> <s>c</s></p>\n",
    "# Some *Inputs*, & more\n# Some Inputs & more": (
        '<h1 id="readme-some-inputs--more">Some <em>Inputs</em>, &amp; more</h1>\n'
        '<h1 id="readme-some-inputs--more-1">Some Inputs &amp; more</h1>\n'
    ),
    "[in](#inputs) [web](https://example.com)": (
        f'<p><a href="#readme-inputs" {REL}>in</a> <a href="https://example.com" {REL}>web</a></p>\n'
    ),
    "[file](docs/a.md)": f"<p><a {REL}>file</a></p>\n",
    "![build](https://example.com/b.svg)": f'<p><a href="https://example.com/b.svg" {REL}>build</a></p>\n',
    "[![build](b.svg)](https://example.com)": f'<p><a href="https://example.com" {REL}>build</a></p>\n',
    "```hcl\na = 1\n```": '<pre><code class="language-hcl">a = 1\n</code></pre>\n',
    '| a |\n|--:|\n| <a name="input_x"></a> [x](#input\\_x) |': (
        '<table>\n<thead>\n<tr>\n<th align="right">a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n'
        f'<td align="right"><a name="readme-input_x" {REL}></a> <a href="#readme-input_x" {REL}>x</a></td>\n</tr>\n</tbody>\n</table>\n'
    ),
    "<details><summary>more</summary>text</details>": "<details><summary>more</summary>text</details>",
}
"""What documentation of modules is made of, terraform-docs' tables among it."""


@pytest.mark.parametrize(("text", "html"), SHOWN.items(), ids=SHOWN)
def test_what_authors_write_is_shown(text: str, html: str) -> None:
    assert rendered(text) == html


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](<java\nscript:alert(1)>)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](javascript:alert(1))",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src='https://example.com'></iframe>",
    "<form action='https://example.com'><input name=password></form>",
    "<style>body { display: none }</style>",
    "<p style='position: fixed; inset: 0'>x</p>",
    "<p class='button' onclick=alert(1)>x</p>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<base href='https://example.com'><meta http-equiv=refresh content=0><link rel=stylesheet href=x>",
]


class Elements(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.bad.append(tag)
        for name, value in attrs:
            if name == "rel":
                continue
            allowed = name in ATTRIBUTES.get(tag, ())
            if not allowed or (name == "href" and not (value or "").startswith(("#readme-", "http://", "https://", "mailto:"))):
                self.bad.append(f"{tag} {name}={value}")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_do_something_is_left_out(text: str) -> None:
    html = rendered(text)
    assert not Elements(html).bad
    assert "display: none" not in html


@given(st.text(alphabet=st.sampled_from("<>\"'=/ \n`[]()!#-:aimgscrptonhef&;"), max_size=80))
def test_nothing_generated_makes_a_browser_act(text: str) -> None:
    assert not Elements(rendered(text)).bad


def test_a_browser_would_see_what_is_bad() -> None:
    assert Elements("<script></script><a onclick=x></a><a href='java:x'></a>").bad == ["script", "a onclick=x", "a href=java:x"]


def test_names_in_the_text_are_never_those_of_the_page() -> None:
    assert f'id="{PREFIX}main"' in rendered('<h2 id="main">x</h2>')
    assert f'name="{PREFIX}csrf"' in rendered('<a name="csrf">x</a>')


def test_plain_text_is_shown_as_it_is() -> None:
    assert read("README.txt", b"<b> & *c*\n").html == "<pre>&lt;b&gt; &amp; *c*\n</pre>"


def test_of_a_long_text_only_its_beginning_is_read() -> None:
    found = read("README.md", b"a" * (READ_BYTES + 1))
    assert len(found.text) == READ_BYTES


LICENCES = {
    "Apache-2.0": (ROOT / "LICENSE").read_bytes(),
    "MIT": b"MIT License\n\nCopyright (c) 2026\n\nPermission is hereby granted, free of\ncharge, to any person obtaining a copy\n",
    "MPL-2.0": b"Mozilla Public License Version 2.0\n==================================\n",
    "BSD-3-Clause": b"Redistribution and use in source and binary forms, ...\n 3. Neither the name of the copyright holder nor",
    "BSD-2-Clause": b"Redistribution and use in source and binary forms, with or without",
    "GPL-3.0": b"                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n",
    "LGPL-3.0": b"  GNU LESSER GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007\n ... version 3 of the GNU General Public License",
    "EUPL-1.2": b"SPDX-License-Identifier: EUPL-1.2\n",
}


@pytest.mark.parametrize(("spdx", "content"), LICENCES.items(), ids=LICENCES)
def test_a_licence_is_known_by_its_words(spdx: str, content: bytes) -> None:
    assert identifier(content) == spdx


def test_a_licence_of_ones_own_is_none_that_is_known() -> None:
    assert identifier(b"All rights reserved.\n") is None
