"""A guess at the licence, by its title or by a sentence that no other one has."""

from __future__ import annotations

import re
from typing import Final

READ_CHARACTERS: Final = 20_000

_DECLARED: Final = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+-]{1,60})")
_SIGNS: Final = (
    ("AGPL-3.0", "gnu affero general public license version 3"),
    ("LGPL-3.0", "gnu lesser general public license version 3"),
    ("LGPL-2.1", "gnu lesser general public license version 2.1"),
    ("GPL-3.0", "gnu general public license version 3"),
    ("GPL-2.0", "gnu general public license version 2"),
    ("Apache-2.0", "apache license version 2.0"),
    ("MPL-2.0", "mozilla public license version 2.0"),
    ("MPL-2.0", "mozilla public license, version 2.0"),
    ("EPL-2.0", "eclipse public license - v 2.0"),
    ("BUSL-1.1", "business source license 1.1"),
    ("CC0-1.0", "cc0 1.0 universal"),
    ("Unlicense", "this is free and unencumbered software released into the public domain"),
    ("BSL-1.0", "boost software license - version 1.0"),
    ("MIT-0", "mit no attribution"),
    ("BSD-3-Clause", "neither the name of"),
    ("BSD-2-Clause", "redistribution and use in source and binary forms"),
    ("0BSD", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted. the"),
    ("ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"),
    ("ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"),
    ("MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"),
)
"""In the order they are looked for: one text may hold the words of another."""


def identifier(content: bytes) -> str | None:
    """The SPDX identifier of the licence that the text looks like; `None` for one that is not known."""
    text = content.decode("utf-8", "replace")[:READ_CHARACTERS]
    if declared := _DECLARED.search(text):
        return declared[1]
    plain = re.sub(r"\s+", " ", text.lower())
    return next((name for name, sign in _SIGNS if sign in plain), None)
