"""A refusal as a document: `{"errors": [...]}`, the only form whose words the terraform CLI shows."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from terrapod_core.errors import Problem, TerrapodError

_ENCODER: Final = msgspec.json.Encoder()


class _Source(msgspec.Struct, omit_defaults=True, gc=False):
    pointer: str | None = None
    parameter: str | None = None


class _Error(msgspec.Struct, gc=False):
    status: str  # a string: go-tfe's decoder refuses a number
    title: str
    detail: str
    source: Any = msgspec.UNSET
    code: Any = msgspec.UNSET
    meta: Any = msgspec.UNSET


class _Errors(msgspec.Struct, gc=False):
    errors: list[_Error]


def errors_document(error: TerrapodError) -> bytes:
    """The document for a refusal, one member for each of its problems; `code` and `meta` are the same on all."""
    return _ENCODER.encode(_Errors([_member(error, problem) for problem in error.problems]))


def _member(error: TerrapodError, problem: Problem) -> _Error:
    source = _Source(_utf8(problem.pointer), _utf8(problem.parameter)) if problem.pointer or problem.parameter else msgspec.UNSET
    return _Error(
        str(error.status),
        error.title,
        _utf8(problem.detail) or "",
        source,
        error.code or msgspec.UNSET,
        error.meta or msgspec.UNSET,
    )


def _utf8(text: str | None) -> str | None:
    """The text without lone surrogates: a sentence may quote what a client sent, and an error must not fail on it."""
    return text if text is None else text.encode("utf-8", "replace").decode()
