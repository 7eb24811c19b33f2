"""What the application answers to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ARGUMENT: Final = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


def routes(directory: Path) -> list[tuple[str, str]]:
    """Method and path of every route, in order, the path's arguments as `<name>`; one that is there twice comes twice."""
    from terrapod_core.app import Terrapod
    from terrapod_core.settings import load

    app = Terrapod(load(environ={}, overrides={"data_dir": directory}), jobs=False).app
    return sorted(
        (method, ARGUMENT.sub(r"<\1>", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )
