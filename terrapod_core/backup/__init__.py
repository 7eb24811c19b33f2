"""One archive of everything an installation has, and the way back out of it, into either database and any storage.

make_backup      the database as it is at one moment, and every object its rows name
Restore          reads an archive: verifies it, or makes an empty database and storage what it holds
Passphrase       whoever knows it opens the archive
Recipient        the public key an archive is made for
Identity         the private key that opens it
BackupError      why an archive cannot be made or read, for the person at the terminal
Header           what an archive says it holds

The archive never holds the keys that stored secrets are encrypted under, but for one that was made to hold them.
"""

from __future__ import annotations

from terrapod_core.backup.locks import Identity, Passphrase, Recipient, new_identity
from terrapod_core.backup.making import Made, make_backup
from terrapod_core.backup.problems import BackupError
from terrapod_core.backup.records import Footer, Header
from terrapod_core.backup.restoring import Options, Restore
from terrapod_core.backup.sealing import Archive

__all__ = [
    "Archive",
    "BackupError",
    "Footer",
    "Header",
    "Identity",
    "Made",
    "Options",
    "Passphrase",
    "Recipient",
    "Restore",
    "make_backup",
    "new_identity",
]
