"""`python -m terrapod_core` is `terrapod`."""

from __future__ import annotations

from terrapod_core.cli import main

main()
