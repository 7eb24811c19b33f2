"""What can be asked of the log, and what a spreadsheet is given."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from terrapod_core.audit.filters import Filters
from terrapod_core.audit.log import FORMULA, csv_lines, harmless
from terrapod_core.errors import BadRequest
from terrapod_core.jsonapi import Query


def filters(**values: str) -> Filters:
    return Filters.of(Query.parse({f"filter[{name.replace('_', '-')}]": value for name, value in values.items()}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00.5z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-01-31T13:30:00+01:30", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T13:30:00 01:30", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_in_rfc_3339(text: str, expected: datetime) -> None:
    assert filters(since=text).since == expected


NO_TIMES = (
    "yesterday",
    "2026-01-31",
    "2026-01-31T12:00:00",
    "2026-02-30T12:00:00Z",
    "1767225600",
    "0001-01-01T00:00:00+23:00",
    "2026-W05-1T12:00:00Z",
)


@pytest.mark.parametrize("text", NO_TIMES)
@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_that_is_none_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(BadRequest, match="must be a time as in RFC 3339") as caught:
        filters(**{name: text})
    assert caught.value.problems[0].parameter == f"filter[{name}]"


@pytest.mark.parametrize(("name", "value"), [("outcome", "maybe"), ("action", "*.create"), ("action", "run.*.x*")])
def test_other_values_that_mean_nothing_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        filters(**{name: value})
    assert caught.value.problems[0].parameter == f"filter[{name}]"


def test_what_was_asked_is_told_in_the_words_of_the_request() -> None:
    asked = filters(resource_type="runs", request_id="req-1", since="2026-01-31T12:00:00Z", actor="").asked
    assert asked == {"resource-type": "runs", "request-id": "req-1", "since": "2026-01-31T12:00:00+00:00"}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), min_size=1))
def test_no_cell_begins_a_formula_and_every_cell_can_be_read_back(cells: list[str]) -> None:
    safe = [harmless(cell) for cell in cells]
    assert not any(cell.lstrip(" ").startswith(FORMULA) for cell in safe)
    [row] = csv.reader(io.StringIO(csv_lines([safe]).decode(), newline=""))
    assert row == safe
    assert [cell.removeprefix("'") if cell != was else cell for cell, was in zip(row, cells, strict=True)] == cells
