"""`[auth.password]`."""

from __future__ import annotations

from dataclasses import dataclass

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class PasswordAuthSettings(PluginSettings):
    """How passwords are hashed, and which ones may be set."""

    memory_mib: int = setting(64, "Memory that checking one password takes, in MiB.")
    passes: int = setting(3, "How often that memory is gone over.")
    threads: int = setting(2, "Passwords checked at the same time.")
    min_length: int = setting(10, "The fewest characters of a new password.")
    min_strength: int = setting(3, "zxcvbn's score that a new password needs: 0 (anything) to 4 (very hard to guess).")

    def __post_init__(self) -> None:
        for name, least, most in (
            ("memory_mib", 1, 4096),
            ("passes", 1, 100),
            ("threads", 1, 64),
            ("min_length", 8, 128),
            ("min_strength", 0, 4),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most}")
