"""Which variables of the environment hold a secret."""

from __future__ import annotations

from terrapod_core.settings._fields import PREFIX, masked, sounds_secret, variable
from terrapod_core.settings.schema import core_fields


def holds_secret(name: str, value: str) -> bool:
    """Whether this variable holds a secret setting of the core or of a plugin, or a URL with a password."""
    if not name.startswith(PREFIX):
        return False
    known = {given: each.secret for key, each in core_fields().items() for given in (variable(key), each.alias) if given}
    if known.get(name, False) or masked(value, secret=False) != value:
        return True
    # Of a plugin's settings only the name is known here. `NAME_FILE` holds a path.
    return name not in known and not name.endswith("_FILE") and name.count("__") >= 2 and sounds_secret(name.rsplit("__", 1)[1])
