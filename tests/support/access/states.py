"""Configurations and states of a workspace."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import BY_NAME, On, Open, P, Row, read

ROWS: Final[dict[str, Row]] = {
    "PUT /api/v2/state-versions/<version_id>/content": Row(Open("the contract's: the id is the right while the version waits")),
    "PUT /api/v2/state-versions/<version_id>/json-content": Row(Open("the contract's: the id is the right while the version waits")),
    "GET /api/v2/workspaces/<workspace_id>/configuration-versions": read(P.CONFIGURATION_READ),
    "GET /api/v2/configuration-versions/<version_id>": read(P.CONFIGURATION_READ),
    "GET /api/v2/configuration-versions/<version_id>/ingress-attributes": read(P.CONFIGURATION_READ),
    "GET /api/v2/configuration-versions/<version_id>/download": read(P.CONFIGURATION_DOWNLOAD),
    "POST /api/v2/workspaces/<workspace_id>/configuration-versions": Row(On(P.CONFIGURATION_UPLOAD_SPECULATIVE)),
    "POST /api/v2/configuration-versions/<version_id>/actions/archive": Row(On(P.CONFIGURATION_UPLOAD)),
    "GET /api/v2/workspaces/<workspace_id>/state-versions": read(P.STATE_READ),
    "GET /api/v2/state-versions": Row(On(P.STATE_READ), query=BY_NAME),
    "GET /api/v2/workspaces/<workspace_id>/current-state-version": read(P.STATE_READ, engine=True),
    "GET /api/v2/workspaces/<workspace_id>/current-state-version-outputs": read(P.STATE_READ, engine=True),
    "GET /api/v2/workspaces/<workspace_id>/resources": read(P.STATE_READ),
    "GET /api/v2/state-versions/<version_id>": read(P.STATE_READ, engine=True),
    "GET /api/v2/state-versions/<version_id>/outputs": read(P.STATE_READ, engine=True),
    "GET /api/v2/state-versions/<version_id>/download": read(P.STATE_DOWNLOAD, engine=True),
    "GET /api/v2/state-version-outputs/<output_id>": read(P.OUTPUT_READ_SENSITIVE, engine=True),
    "POST /api/v2/workspaces/<workspace_id>/state-versions": Row(On(P.STATE_WRITE)),
    "PATCH /api/v2/workspaces/<workspace_id>/state-versions": Row(On(P.STATE_WRITE)),
    "POST /api/v2/state-versions/<version_id>/actions/promote": Row(On(P.WORKSPACE_UPDATE)),
}

LATER: Final[dict[str, str]] = {
    "POST /api/v2/configuration-versions/<version_id>/actions/archive": "because it is current",
    "POST /api/v2/workspaces/<workspace_id>/state-versions": "is locked|hash does not match the one known",
    "POST /api/v2/state-versions/<version_id>/actions/promote": "is locked by|only a state that was rescued",
    "PUT /api/v2/state-versions/<version_id>/content": "has its bytes already",
    "PUT /api/v2/state-versions/<version_id>/json-content": "no upload is waited for here",
}
