"""Walks a JSON document of any size while it streams past, holding one small value at a time.

A decoder that wants the whole document would hold a 1 GiB state in memory, and the interpreter for seconds. Here the outline is
followed by regular expressions (strings and brackets are all that matters for it), and each value that somebody asks for is
decoded, and so checked, by msgspec. Values too large to hold are checked for matching brackets only.

Parsers are generators: they pause where the bytes end and go on when more are fed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias

import msgspec

from terrapod_core.errors import Invalid, TerrapodError

LEAF_BYTES: Final = 2 << 20
"""The largest value that is held whole."""

KEY_BYTES: Final = 1 << 16
NEAR_BYTES: Final = 1 << 16
"""How far `near` looks."""

Steps: TypeAlias = Generator[None, None, None]
Visit: TypeAlias = Callable[[str], Steps]
"""Takes one member's value; given its name."""

# Possessive throughout: nothing is ever tried again, so no input makes these slow.
_SPACE = re.compile(rb"[ \t\r\n]*+")
_KEY = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_FLAT = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
"""Everything up to a bracket, or to a string whose end is not there yet."""
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]*+")
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_STRING: Final = msgspec.json.Decoder(str)

_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_LIST, _CLOSE_LIST = b"{}[]"


class Scanner:
    """Reads one JSON object: `feed` its bytes as they come, then `finish`. Synchronous, computes much.

    A subclass says in `member` what to do with the members of the object. Raises `Invalid`; `what` names the document.
    """

    what = "document"

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._base = 0
        """Bytes of the document before the buffer."""
        self._mark: int | None = None
        """Where the value that is being held begins."""
        self._ended = False
        self._parser = self._document()
        next(self._parser)

    @property
    def seen(self) -> int:
        """Bytes fed so far."""
        return self._base + len(self._buffer)

    def feed(self, data: bytes) -> None:
        """The next bytes of the document."""
        self._buffer += data
        self._parser.send(None)

    def finish(self) -> None:
        """The document has ended; raises when it is not whole."""
        self._ended = True
        with contextlib.suppress(StopIteration):
            self._parser.send(None)

    def member(self, name: str) -> Steps:
        """Take the value of a member of the document; by default it is checked and forgotten."""
        yield from self.leaf()

    # -- for subclasses

    def refused(self, why: str) -> TerrapodError:
        """The refusal of the document."""
        return Invalid(f"the {self.what} is refused: {why}", code=f"bad_{self.what.replace(' ', '_')}")

    def peek(self) -> Generator[None, None, int]:
        """The first byte of what follows, white space left out."""
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            yield from self._more()

    def is_object(self) -> Generator[None, None, bool]:
        """Whether an object follows."""
        return (yield from self.peek()) == _OPEN_OBJECT

    def is_list(self) -> Generator[None, None, bool]:
        """Whether a list follows."""
        return (yield from self.peek()) == _OPEN_LIST

    def members(self, visit: Visit) -> Steps:
        """Walk an object."""
        yield from self._expect(_OPEN_OBJECT)
        if (yield from self.peek()) != _CLOSE_OBJECT:
            while True:
                name = yield from self._key()
                yield from self._expect(_COLON)
                yield from self.peek()
                yield from visit(name)
                if (yield from self.peek()) != _COMMA:
                    break
                self._at += 1
        yield from self._expect(_CLOSE_OBJECT)

    def items(self, visit: Callable[[], Steps]) -> Steps:
        """Walk a list."""
        yield from self._expect(_OPEN_LIST)
        if (yield from self.peek()) != _CLOSE_LIST:
            while True:
                yield from self.peek()
                yield from visit()
                if (yield from self.peek()) != _COMMA:
                    break
                self._at += 1
        yield from self._expect(_CLOSE_LIST)

    def leaf(self, decode: Callable[[bytes], Any] = _RAW.decode) -> Generator[None, None, Any]:
        """The value that follows, decoded; `None` for one too large to hold."""
        raw = yield from self.raw()
        return None if raw is None else self.decoded(raw, decode)

    def raw(self) -> Generator[None, None, bytes | None]:
        """The bytes of the value that follows, not looked at; `None` for one too large to hold."""
        first = yield from self.peek()
        self._mark = self._at
        if first in (_OPEN_OBJECT, _OPEN_LIST):
            yield from self._nested()
        elif first == _QUOTE:
            self._at += 1
            yield from self._text()
        else:
            yield from self._scalar()
        return self._held()

    def near(self) -> bytes | None:
        """The object or list that follows when all of it is there already and it is small; otherwise `None`, and nothing is passed.

        Decoding a small thing at once is several times faster than walking it.
        """
        at, depth, end = self._at, 0, min(self._at + NEAR_BYTES, len(self._buffer))
        while (at := _FLAT.match(self._buffer, at, end).end()) < end:  # type: ignore[union-attr]
            byte = self._buffer[at]
            at += 1
            if byte == _QUOTE:
                return None
            depth += 1 if byte in (_OPEN_OBJECT, _OPEN_LIST) else -1
            if not depth:
                start, self._at = self._at, at
                return bytes(self._buffer[start:at])
        return None

    def decoded(self, raw: bytes, decode: Callable[[bytes], Any]) -> Any:
        """Decode what was just passed."""
        try:
            return decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self.refused(f"at byte {self.position()}: {error}") from None

    def is_text(self) -> Generator[None, None, bool]:
        """Whether a string follows."""
        return (yield from self.peek()) == _QUOTE

    def text(self, sink: Callable[[bytes], None]) -> Steps:
        """Pass a string of any length, giving what stands between its quotes piece by piece; no escape is torn but `\\uXXXX`."""
        self._at += 1
        while True:
            start = self._at
            self._at = _TEXT.match(self._buffer, start).end()  # type: ignore[union-attr]
            sink(bytes(self._buffer[start : self._at]))
            if self._at < len(self._buffer) and self._buffer[self._at] == _QUOTE:
                self._at += 1
                return
            yield from self._more()

    def position(self) -> int:
        """Offset in the document of what is read next."""
        return self._base + self._at

    # -- inside

    def _held(self) -> bytes | None:
        """Let go of the value just passed; `None` when it grew too large to be held."""
        mark, self._mark = self._mark, None
        return None if mark is None else bytes(self._buffer[mark : self._at])

    def _document(self) -> Steps:
        yield
        if (yield from self.peek()) != _OPEN_OBJECT:
            raise self.refused("it is not a JSON object")
        yield from self.members(self.member)
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                raise self.refused(f"something follows its end, at byte {self.position()}")
            if self._ended:
                return
            yield from self._more()

    def _more(self) -> Steps:
        """Wait for bytes; what was read and is not held is let go."""
        if self._ended:
            raise self.refused("it is empty" if not self.seen else "it is cut short")
        if self._mark is not None and self._at - self._mark > LEAF_BYTES:
            self._mark = None
        done = self._at if self._mark is None else self._mark
        del self._buffer[:done]
        self._base += done
        self._at -= done
        self._mark = None if self._mark is None else 0
        yield

    def _expect(self, byte: int) -> Steps:
        if (yield from self.peek()) != byte:
            raise self.refused(f"it is not JSON: {chr(byte)!r} is missing at byte {self.position()}")
        self._at += 1

    def _key(self) -> Generator[None, None, str]:
        if (yield from self.peek()) != _QUOTE:
            raise self.refused(f"it is not JSON: the name of a member is missing at byte {self.position()}")
        while (found := _KEY.match(self._buffer, self._at)) is None:
            if len(self._buffer) - self._at > KEY_BYTES:
                raise self.refused("the name of a member is too long")
            yield from self._more()
        self._at = found.end()
        name: str = self.decoded(found[0], _STRING.decode)
        return name

    def _nested(self) -> Steps:
        """Pass an object or a list, whatever is in it."""
        depth = 0
        while True:
            self._at = _FLAT.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at == len(self._buffer):
                yield from self._more()
                continue
            byte = self._buffer[self._at]
            self._at += 1
            if byte == _QUOTE:
                yield from self._text()
            elif byte in (_OPEN_OBJECT, _OPEN_LIST):
                depth += 1
            else:
                depth -= 1
                if not depth:
                    return

    def _text(self) -> Steps:
        """Pass the rest of a string, whose end may be far."""
        while True:
            self._at = _TEXT.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer) and self._buffer[self._at] == _QUOTE:
                self._at += 1
                return
            yield from self._more()

    def _scalar(self) -> Steps:
        while True:
            self._at = _SCALAR.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                return
            yield from self._more()
