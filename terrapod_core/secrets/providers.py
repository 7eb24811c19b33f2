"""The key provider that needs no plugin: the setting `secrets.keys`, or the key file of an embedded installation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

from terrapod_core.plugin import KeyringError, Keys
from terrapod_core.secrets.keyfile import KEY_FILE, new_key, read, write_first
from terrapod_core.settings import Settings

SETTING: Final = "TERRAPOD_SECRETS__KEYS"


class TextKeys:
    """Keys as they are written down: for tests and tools."""

    name = "text"
    where = SETTING
    live = False

    def __init__(self, text: str) -> None:
        self._text = text

    def keys(self) -> Keys:
        return Keys.read(self._text, self.where)


class SettingsKeys:
    """`[secrets] provider = "settings"`.

    The setting wins when given. Without it an embedded start (files on this disk) keeps its key in the file `keys` of the
    data directory, made at the first start and written by `keep`; any other start has no keys, because replicas that each
    made their own could not read one another's secrets.
    """

    name = "settings"

    def __init__(self, text: str | None, data_dir: Path, *, embedded: bool, setting_file: Path | None = None, where: str = SETTING) -> None:
        """`setting_file` is the file that the setting was read from (`…_FILE`), and is read again; `where` is what gave `text`."""
        self._text = text if text is not None and text.strip() else None
        self._path = data_dir / KEY_FILE
        self._embedded = embedded
        self._setting_file = setting_file if self._text is not None else None
        self._where = where
        self._found = False
        self._made: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The provider of these settings."""
        origin = settings.origins.get("secrets.keys", "default")
        file = Path(os.environ[origin]) if origin.endswith("_FILE") and os.environ.get(origin) else None
        where = SETTING if origin in ("default", SETTING) else f"{file} (named by {origin})" if file else f"secrets.keys in {origin}"
        return cls(settings.secrets.keys, settings.data_dir, embedded=settings.embedded, setting_file=file, where=where)

    @property
    def key_file(self) -> Path | None:
        """The file that the server itself keeps; `None` when the setting gives the keys."""
        return self._path if self._text is None and self._embedded else None

    @property
    def where(self) -> str:
        return f"the key file {self._path}" if self.key_file is not None else self._where

    @property
    def live(self) -> bool:
        return self._text is None or self._setting_file is not None

    def keys(self) -> Keys:
        if self._text is None:
            return self._from_key_file()
        text, self._found = (self._again() if self._found else self._text), True
        return Keys.read(text, self.where)

    def _again(self) -> str:
        """The setting's text, as its file has it now; what is in the environment itself cannot change."""
        if self._setting_file is None:
            return self._text or ""
        try:
            return self._setting_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise KeyringError(f"{self.where} cannot be read: {error.__class__.__name__}.") from None

    def _from_key_file(self) -> Keys:
        if not self._embedded:
            raise KeyringError(_no_keys(self._path))
        try:
            text = read(self._path)
        except (OSError, UnicodeDecodeError) as error:
            # A file that is gone later holds keys that somebody has to put back.
            if self._found or not isinstance(error, FileNotFoundError):
                raise self._unreadable(error) from None
            self._made = self._made or new_key()
            return Keys.read(self._made, self.where)
        keys = Keys.read(text, self.where)
        self._found, self._made = True, None
        return keys

    @property
    def pending(self) -> bool:
        """Whether there is no key file, and `keys` gave one that was made for a first start."""
        return self._made is not None

    def keep(self) -> None:
        """Write the key that was made: only for one who knows that no other was in use. Ask `keys` again, somebody may have been first."""
        if self._made is not None:
            try:
                write_first(self._path, self._made)
            except OSError as error:
                raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> KeyringError:
        return KeyringError(f"The key file {self._path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.")


def _no_keys(path: Path) -> str:
    advice = (
        f"Secrets need a key that every replica is given: set {SETTING}=k1:$(openssl rand -base64 32) "
        "(or [secrets] keys in terrapod.toml), and keep a copy of it apart from the data."
    )
    if path.exists():
        advice += f" This installation made its own key while it was embedded: go on with it by {SETTING}_FILE={path}."
    return advice
