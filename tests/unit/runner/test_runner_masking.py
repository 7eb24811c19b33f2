from __future__ import annotations

import random

import pytest

from terrapod_core.runner.masking import Masker, secrets_of

SECRETS = [b"hunter2hunter2", b"hunter2hunter2-and-more", b"ababababab", b"line one of it\nline two of it"]


def shown(chunks: list[bytes], secrets: list[bytes] = SECRETS) -> bytes:
    masker = Masker(secrets)
    return b"".join([*(masker.feed(chunk) for chunk in chunks), masker.finish()])


def test_a_secret_is_blanked() -> None:
    assert shown([b"it is hunter2hunter2, you see"]) == b"it is ***, you see"


@pytest.mark.parametrize("at", range(1, 40))
def test_a_secret_cut_by_the_border_of_two_chunks_is_blanked(at: int) -> None:
    text = b"a hunter2hunter2 b ababababab c hunter2hunt"
    assert shown([text[:at], text[at:]]) == b"a *** b *** c hunter2hunt"


def test_the_longer_of_two_secrets_with_one_beginning_is_blanked_whole() -> None:
    assert shown([b"x hunter2hunter2-and-", b"more y"]) == b"x *** y"


def test_any_way_to_cut_the_text_gives_the_same() -> None:
    chance = random.Random(7)
    text = b"".join(chance.choice([*SECRETS, b"hunter2hun", b"abababa", b"-and-more", b" ", b"\n"]) for _ in range(60))
    whole = shown([text])
    assert not any(secret in whole for secret in SECRETS)
    for _ in range(200):
        cuts = sorted(chance.sample(range(len(text)), 12))
        assert shown([text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == whole


def test_a_line_that_cannot_begin_a_secret_is_shown_at_once() -> None:
    masker = Masker(SECRETS)
    assert masker.feed(b"Apply complete!\n") == b"Apply complete!\n"
    assert masker.feed(b"this may be hunter2h") == b"this may be "
    assert masker.feed(b"elp") == b"hunter2help"


def test_short_values_are_left_alone_and_lines_and_strings_inside_of_values_are_not() -> None:
    found = secrets_of([("true", False), ("first-line-x\n  second-line-x\nend", False), ('{ a = "inner-secret", b = "no" }', True)])
    assert {b"first-line-x", b"second-line-x", b"inner-secret"} <= found
    assert not {b"true", b"end", b"no"} & found


def test_without_secrets_everything_passes() -> None:
    assert shown([b"anything"], []) == b"anything"
