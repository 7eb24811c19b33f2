"""The documents of versions that are kept."""

from __future__ import annotations

from terrapod_core.web.listings import Listings


def test_a_document_is_made_once_for_a_revision() -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"%d" % len(made)

    kept = Listings()
    assert [kept.made("mod-1", 1, make) for _ in range(3)] == [b"1", b"1", b"1"]
    assert kept.made("mod-1", 2, make) == b"2"
    assert (kept.get("mod-1", 1), kept.get("mod-1", 2), kept.get("mod-2", 2)) == (None, b"2", None)


def test_what_was_asked_for_longest_ago_makes_room() -> None:
    kept = Listings(most=10)
    for name in ("a", "b"):
        kept.made(name, 1, lambda: b"12345")
    kept.get("a", 1)
    kept.made("c", 1, lambda: b"123")
    assert [kept.get(name, 1) is not None for name in "abc"] == [True, False, True]
    assert kept.made("huge", 1, lambda: b"x" * 11) == b"x" * 11
    assert kept.get("huge", 1) is None
    kept.made("a", 2, lambda: b"1234567890")
    assert kept.get("a", 2) is not None
