"""Whether a key provider keeps its contract."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable

import pytest

from terrapod_core.plugin import KeyProvider, KeyringError, Keys

Give = Callable[[str], None]
"""Lets the provider's source hold this text: `id:base64key` lines, newest first; "" for nothing at all."""


def key_text(*names: str) -> str:
    """Lines of keys, each of its own, by id."""
    return "".join(f"{name}:{base64.b64encode(name.encode().ljust(32, b'.')).decode()}\n" for name in names)


class KeyProviderKit:
    """Extend it, and fill the fixtures `provider` and `give`."""

    @pytest.fixture
    def provider(self) -> KeyProvider:
        """The provider under test, whose source `give` fills."""
        pytest.fail("give the kit a key provider: override the fixture `provider`")

    @pytest.fixture
    def give(self) -> Give:
        """Fills the source."""
        pytest.fail("give the kit a way to fill the source: override the fixture `give`")

    def test_it_is_a_key_provider_with_a_name_and_a_place(self, provider: KeyProvider) -> None:
        assert isinstance(provider, KeyProvider)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", provider.name)
        assert provider.name != "settings", "that is the core's own"
        assert provider.where
        assert isinstance(provider.live, bool)

    def test_it_gives_the_keys_newest_first(self, provider: KeyProvider, give: Give) -> None:
        give(key_text("k2", "k1"))
        keys = provider.keys()
        assert isinstance(keys, Keys)
        assert keys.ids == ("k2", "k1")
        assert [key.secret[:2] for key in keys] == [b"k2", b"k1"]

    def test_it_gives_the_same_keys_again(self, provider: KeyProvider, give: Give) -> None:
        give(key_text("k2", "k1"))
        assert provider.keys() == provider.keys()

    def test_one_that_is_live_sees_a_key_that_was_added(self, provider: KeyProvider, give: Give) -> None:
        give(key_text("k1"))
        assert provider.keys().ids == ("k1",)
        give(key_text("k2", "k1"))
        assert provider.keys().ids == (("k2", "k1") if provider.live else ("k1",))

    async def test_it_can_be_asked_in_a_thread(self, provider: KeyProvider, give: Give) -> None:
        give(key_text("k1"))
        assert (await asyncio.to_thread(provider.keys)).ids == ("k1",)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n\n",
            "no colon here\n",
            "k1:not base64!\n",
            "k1:c2hvcnQ=\n",
            key_text("k1", "k1"),
            "k1:\N{LATIN SMALL LETTER E WITH ACUTE}\n",
        ],
    )
    def test_what_are_no_keys_is_refused_in_a_sentence(self, provider: KeyProvider, give: Give, text: str) -> None:
        give(text)
        with pytest.raises(KeyringError) as refused:
            provider.keys()
        assert " " in str(refused.value)

    def test_neither_a_refusal_nor_anything_else_shows_a_key(self, provider: KeyProvider, give: Give) -> None:
        good = key_text("k1").strip().partition(":")[2]
        give(f"k1:{good}\nbad entry\n")
        with pytest.raises(KeyringError) as refused:
            provider.keys()
        give(f"k1:{good}\n")
        keys = provider.keys()
        for shown in (str(refused.value), repr(refused.value), repr(keys), str(keys), repr(provider), provider.where):
            assert good not in shown
            assert "k1......" not in shown
