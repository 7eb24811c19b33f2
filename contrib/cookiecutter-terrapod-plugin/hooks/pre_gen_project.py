"""Refuses a name that could not be loaded, before anything is written."""

from __future__ import annotations

import re
import sys

NAME = "{{ cookiecutter.name }}"

if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", NAME):
    sys.exit(f"{NAME!r} is no name of a plugin: take lower-case letters, digits and single dashes, and begin with a letter.")
