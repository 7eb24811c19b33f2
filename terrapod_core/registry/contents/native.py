"""The native syntax, parsed by `python-hcl2`: of its stages only the parser, whose tree knows where in the file everything is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from hcl2.api import parses_to_tree
from lark import Token, Tree
from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedInput

from .syntax import DEPTH, LARGEST_NUMBER, Block, Expression, NotConfiguration, Unknown, clean

Node = Tree[Token] | Token

BLOCK_DEPTH: Final = 3

_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)|\$\$\{|%%\{", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_TEMPLATE: Final = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")
_HEREDOC: Final = re.compile(r"<<(-?)([^\r\n]+)\r?\n(.*\n)?[ \t]*[^\s]+\s*", re.DOTALL)
_WORDS: Final = {"true": True, "false": False, "null": None}


def parse(text: str) -> list[Block]:
    """The blocks of a file. Raises `NotConfiguration`."""
    text = text.removeprefix("\ufeff")
    try:
        tree = parses_to_tree(text)
    except UnexpectedInput as error:
        raise NotConfiguration(_where(error, text)) from None
    except LarkError as error:
        raise NotConfiguration(str(error).partition("\n")[0][:200]) from None
    body = next((child for child in _trees(tree) if child.data == "body"), None)
    return _blocks(body, text, BLOCK_DEPTH) if body is not None else []


def _where(error: UnexpectedInput, text: str) -> str:
    line = error.line if error.line > 0 else text.count("\n") + 1
    if isinstance(error, UnexpectedCharacters):
        return f"line {line} cannot be parsed"
    token = str(getattr(error, "token", "")).strip()
    if not token:
        return f"line {line} cannot be parsed: something that was opened before is not closed"
    return f"line {line} cannot be parsed: {clean(token.splitlines()[0][:40])!r} was not expected"


def _blocks(body: Tree[Token], source: str, depth: int) -> list[Block]:
    return [_block(child, source, depth) for child in _trees(body) if child.data == "block"]


def _block(tree: Tree[Token], source: str, depth: int) -> Block:
    names: list[str] = []
    body: Tree[Token] | None = None
    for child in _trees(tree):
        if child.data == "body":
            body = child
        elif child.data == "string":
            names.append(_quoted(child) or "")
        elif child.data != "new_line_or_comment":
            names.append(_word(child))
    block = Block(names[0], names[1:])
    if body is not None and depth:
        block.attributes = {
            _word(attribute.children[0]): Native(attribute.children[2], source)
            for attribute in _trees(body)
            if attribute.data == "attribute"
        }
        block.blocks = _blocks(body, source, depth - 1)
    return block


def _trees(tree: Tree[Token]) -> Iterator[Tree[Token]]:
    return (child for child in tree.children if isinstance(child, Tree))


def _word(node: Node) -> str:
    """An identifier or keyword."""
    return clean(str(node if isinstance(node, Token) else node.children[0]))


class Native(Expression):
    """An expression of the native syntax."""

    def __init__(self, node: Node, source: str) -> None:
        self._node = node
        self._source = source

    @property
    def text(self) -> str:
        first, _, rest = _span(self._node, self._source).partition("\n")
        return clean(f"{first}\n{textwrap.dedent(rest)}".strip())

    @property
    def reference(self) -> str:
        return self.text

    def value(self, depth: int = DEPTH) -> Any:
        if not depth:
            raise Unknown
        node = _plain(self._node)
        if isinstance(node, Token):
            raise Unknown
        match node.data:
            case "string":
                return _known(_quoted(node))
            case "heredoc_template" | "heredoc_template_trim":
                return _known(_heredoc(str(node.children[0])))
            case "int_lit" | "float_lit":
                return _number(str(node.children[0]))
            case "literal_value":
                return _WORDS[str(node.children[0])]
            case "unary_op" if str(node.children[0]) == "-":
                return _negated(Native(node.children[1], self._source).value(depth - 1))
            case "tuple":
                return [element.value(depth - 1) for element in self.elements()]
            case "object":
                return {name: member.value(depth - 1) for name, member in self._members(node)}
        raise Unknown

    def items(self) -> dict[str, Expression]:
        node = _plain(self._node)
        if not isinstance(node, Tree) or node.data != "object":
            return {}
        try:
            return dict(self._members(node))
        except Unknown:
            return {}

    def elements(self) -> list[Expression]:
        node = _plain(self._node)
        if not isinstance(node, Tree) or node.data != "tuple":
            return []
        return [Native(child, self._source) for child in _trees(node) if child.data != "new_line_or_comment"]

    def _members(self, tree: Tree[Token]) -> Iterator[tuple[str, Expression]]:
        for member in _trees(tree):
            if member.data == "object_elem":
                key, _, value = member.children
                assert isinstance(key, Tree)
                yield self._key(key.children[0]), Native(value, self._source)

    def _key(self, node: Node) -> str:
        """A name stands for itself, anything else for its value."""
        node = _plain(node)
        if isinstance(node, Tree) and node.data in ("identifier", "keyword", "literal_value"):
            return _word(node)
        value = Native(node, self._source).value(2)
        if isinstance(value, str):
            return value
        raise Unknown


def _plain(node: Node) -> Node:
    """The expression without what only wraps it; parentheses are not looked through."""
    while isinstance(node, Tree) and node.data == "expr_term" and len(node.children) == 1:
        node = node.children[0]
    return node


def _span(node: Node, source: str) -> str:
    """Its text in the file; comments behind an operation belong to it in the tree, and are left out."""
    first = last = node
    while isinstance(last, Tree):
        kept = [child for child in last.children if isinstance(child, Token) or child.data != "new_line_or_comment"]
        if not kept:
            break
        last = kept[-1]
    start = first.meta.start_pos if isinstance(first, Tree) else first.start_pos
    end = last.meta.end_pos if isinstance(last, Tree) else last.end_pos
    return source[start:end]


def _known(text: str | None) -> str:
    if text is None:
        raise Unknown
    return text


def _quoted(tree: Tree[Token]) -> str | None:
    """The text that a quoted template spells; `None` when something in it has to be evaluated."""
    parts = [part.children[0] for part in _trees(tree)]
    if any(isinstance(part, Tree) for part in parts):
        return None
    return clean(_ESCAPE.sub(_unescaped, "".join(str(part) for part in parts)))


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code is None:
        return match[0][1:]
    if len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    return _ESCAPED.get(code, match[0])


def _heredoc(token: str) -> str | None:
    match = _HEREDOC.fullmatch(token)
    if match is None:
        return None
    text = (match[3] or "").replace("\r\n", "\n")
    if _TEMPLATE.search(text):
        return None
    if match[1]:
        text = _without_indentation(text)
    return clean(text.replace("$${", "${").replace("%%{", "%{"))


def _without_indentation(text: str) -> str:
    """As `<<-` has it: as many spaces less on each line as the least indented one has, blank lines excepted."""
    lines = text.split("\n")
    least = min((len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()), default=0)
    return "\n".join(line[least:] if line.strip() else line.lstrip(" \t") for line in lines)


def _number(text: str) -> int | float:
    number = float(text)
    if abs(number) > LARGEST_NUMBER:
        raise Unknown
    return int(text) if text.lstrip("-").isdigit() else number


def _negated(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unknown
    return -value
