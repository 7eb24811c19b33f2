"""The form of a VCS connection: what it says, and that no secret comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from terrapod_core.errors import Invalid, Problems
from terrapod_core.plugin import Field, VCSProvider
from terrapod_core.ui import connection_form


class Somewhere:
    """What the form needs to know of a provider."""

    name = "somewhere"
    display_name = "Somewhere"
    default_url = None
    fields: Sequence[Field] = (Field("app-id", "App", secret=False), Field("token", "Token"), Field("key", "Key", lines=True))


PROVIDER = cast(VCSProvider, Somewhere())


def test_a_new_connection_is_what_was_filled_in() -> None:
    sent = {
        "name": " forge ",
        "base-url": "https://git",
        "value-token": "t",
        "value-key": "a\r\nb\r\n",
        "roles": "one, two",
        "repositories": "",
    }
    assert connection_form.attributes(PROVIDER, sent, changes=False) == {
        "name": "forge",
        "provider": "somewhere",
        "base-url": "https://git",
        "repositories": ["*"],
        "roles": ["one", "two"],
        "app-id": "",
        "token": "t",
        "key": "a\nb",
    }


def test_a_secret_that_is_left_empty_stays_unless_it_is_taken_away() -> None:
    said = connection_form.attributes(PROVIDER, {"name": "forge", "remove-key": "yes"}, changes=True)
    assert "token" not in said
    assert said["key"] is None
    assert said["app-id"] == "", "what is shown, and was emptied, goes"


def test_no_secret_stands_in_the_form_that_is_shown_again() -> None:
    problems = Problems()
    problems.add("token is no good", attribute="token")
    problems.add("the weather is bad", attribute="weather")
    form = connection_form.filled(PROVIDER, {"name": "forge"}, {"app-id": "7", "token": "hush", "key": "hush"}, {"key"}, _refusal(problems))
    assert "hush" not in repr(form)
    assert {each.field.name: (each.value, each.is_kept) for each in form.fields} == {
        "app-id": ("7", False),
        "token": ("", False),
        "key": ("", True),
    }
    assert form.problems == {"token": "token is no good", "": "the weather is bad"}


def _refusal(problems: Any) -> Invalid:
    try:
        problems.refuse()
    except Invalid as refusal:
        return refusal
    raise AssertionError("nothing was wrong")
