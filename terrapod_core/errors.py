"""Everything that can be refused, drawn once.

Services raise these; `web` turns each into a JSON:API error document. A class knows its HTTP status and its title, an
instance the sentence a person can act on. Permanent failures are 4xx: the terraform CLI retries a 5xx for minutes.

    TerrapodError                500
    ├── BadRequest               400  not JSON, no JSON:API document, a missing query parameter
    ├── Unauthorized             401
    ├── Forbidden                403  may see it, may not do it
    ├── NotFound                 404  is not there, or is not visible to the one who asks
    ├── MethodNotAllowed         405
    ├── NotAcceptable            406
    ├── RequestTooSlow           408  the body did not arrive at a bearable pace
    ├── Conflict                 409
    │   └── InvalidTransition    409  "transition not allowed"
    ├── Gone                     410  it was here, and was removed for good
    ├── PreconditionFailed       412  the thing must first be in another state, as real clients expect to be told
    ├── TooLarge                 413
    ├── UnsupportedMediaType     415
    ├── RangeNotSatisfiable      416  there is nothing in the range of bytes that was asked for
    ├── Invalid                  422  a well-formed document with a wrong value
    ├── TooManyRequests          429
    ├── BadGateway               502  another server that was asked is down, too slow, or answers nonsense
    └── Unavailable              503  a part of the server is away; comes with Retry-After
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a request: becomes one member of the document's `errors`.

    `pointer` is a JSON pointer into the request's document (`/data/attributes/name`), `parameter` the name of a query
    parameter; at most one of them is set.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class TerrapodError(Exception):
    """A failure that has an HTTP status. `code` is a stable word for programs (`runner_not_isolated`)."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "internal server error"
    refusal: bool = False
    """Whether somebody was denied something: such errors are audited."""

    def __init__(
        self,
        detail: str,
        *,
        pointer: str | None = None,
        parameter: str | None = None,
        code: str | None = None,
        meta: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.meta = dict(meta or {})
        self.retry_after = retry_after
        """Seconds, for the `Retry-After` header; `None` sends none."""
        self._pointer = pointer
        self._parameter = parameter

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was wrong, one by one; never empty."""
        return (Problem(self.detail, self._pointer, self._parameter),)


class BadRequest(TerrapodError):
    """The request is not one: malformed JSON, no JSON:API document, a missing parameter."""

    status = 400
    title = "bad request"


class Unauthorized(TerrapodError):
    """No valid token."""

    status = 401
    title = "unauthorized"


class Forbidden(TerrapodError):
    """The actor may see the thing but lacks the level for this."""

    status = 403
    title = "forbidden"
    refusal = True


class NotFound(TerrapodError):
    """It does not exist, or the actor may not know that it does."""

    status = 404
    title = "not found"


class MethodNotAllowed(TerrapodError):
    """The path exists, the method does not."""

    status = 405
    title = "method not allowed"


class NotAcceptable(TerrapodError):
    """The client's `Accept` names nothing this endpoint can send."""

    status = 406
    title = "not acceptable"


class RequestTooSlow(TerrapodError):
    """The body did not arrive at a bearable pace."""

    status = 408
    title = "request timeout"


class Conflict(TerrapodError):
    """The thing is in a state that does not allow this now."""

    status = 409
    title = "conflict"


class InvalidTransition(Conflict):
    """A run cannot move to that status from where it is."""

    title = "transition not allowed"


class Gone(TerrapodError):
    """It was here, the actor may know it, and it was removed for good."""

    status = 410
    title = "gone"


class PreconditionFailed(TerrapodError):
    """The thing must first be in another state; for what real clients expect to be refused with this status, else `Conflict`."""

    status = 412
    title = "precondition failed"


class TooLarge(TerrapodError):
    """The body is over its limit; the detail names the limit."""

    status = 413
    title = "payload too large"


class UnsupportedMediaType(TerrapodError):
    """The body's `Content-Type` is not one this endpoint reads."""

    status = 415
    title = "unsupported media type"


class RangeNotSatisfiable(TerrapodError):
    """The range of bytes begins behind the end, or is empty."""

    status = 416
    title = "range not satisfiable"


class Invalid(TerrapodError):
    """A well-formed document with wrong values; carries every problem found."""

    status = 422
    title = "invalid attribute"

    def __init__(self, detail: str | None = None, *, problems: tuple[Problem, ...] = (), **more: Any) -> None:
        super().__init__(detail or "; ".join(problem.detail for problem in problems), **more)
        self._problems = problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._problems or super().problems


class TooManyRequests(TerrapodError):
    """Asked too often; `retry_after` says when to come back."""

    status = 429
    title = "too many requests"


class BadGateway(TerrapodError):
    """A server of somebody else that had to be asked is down, too slow, or answers what makes no sense; the detail names it."""

    status = 502
    title = "bad gateway"


class Unavailable(TerrapodError):
    """A part of the server is away for the moment."""

    status = 503
    title = "service unavailable"


@dataclass
class Problems:
    """Collects problems while a document is checked, to refuse them all at once."""

    found: list[Problem] = field(default_factory=list)

    def add(self, detail: str, *, attribute: str | None = None, relationship: str | None = None) -> None:
        """Note a problem; `attribute` and `relationship` are names as on the wire (kebab-case)."""
        pointer = None
        if attribute is not None:
            pointer = f"/data/attributes/{attribute}"
        elif relationship is not None:
            pointer = f"/data/relationships/{relationship}"
        self.found.append(Problem(detail, pointer))

    def refuse(self) -> None:
        """Raise `Invalid` when anything was noted."""
        if self.found:
            raise Invalid(problems=tuple(self.found))
