"""The Terraform Sync API of the plugin terrapod-sync."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import On, P, Row, SignedIn

_SYNC: Final = "/v1/terraform/sync"
_WORKSPACES: Final = tuple(f"{_SYNC}/workspaces/{name}" for name in ("<workspace_name>", "<organization>/<workspace_name>"))

ROWS: Final[dict[str, Row]] = {
    f"GET {_SYNC}/workspaces": Row(SignedIn("those they may read")),
    f"GET {_SYNC}/config": Row(SignedIn("the entries of workspaces they may read")),
    f"PUT {_SYNC}/config": Row(
        SignedIn("`admin` on each workspace whose entry is added, changed or removed; platform role `admin` for what holds for all")
    ),
    f"GET {_SYNC}/conflicts": Row(SignedIn("those of workspaces they may read")),
    f"GET {_SYNC}/conflicts/<conflict_id>": Row(SignedIn("that of a workspace they may read")),
    f"POST {_SYNC}/conflicts/<conflict_id>/resolve": Row(SignedIn("that of a workspace on which they have `write`")),
    **{f"GET {path}": Row(On(P.WORKSPACE_READ)) for path in _WORKSPACES},
    **{f"GET {path}/history": Row(On(P.WORKSPACE_READ)) for path in _WORKSPACES},
    **{f"POST {path}/sync": Row(On(P.RUN_APPLY)) for path in _WORKSPACES},
}

LATER: Final[dict[str, str]] = {
    f"PUT {_SYNC}/config": "invalid_config",
    f"GET {_SYNC}/conflicts/<conflict_id>": "conflict_not_found",
    f"POST {_SYNC}/conflicts/<conflict_id>/resolve": "conflict_not_found",
    **{f"POST {path}/sync": "has no entry in the configuration" for path in _WORKSPACES},
}
