"""Configurations and states of a workspace."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

CONFIGURATIONS: Final = Section(
    "Configuration versions",
    API,
    TOKEN,
    {
        "GET /workspaces/{workspace_id}/configuration-versions": "A workspace's configuration versions.",
        "POST /workspaces/{workspace_id}/configuration-versions": "Make one; the answer holds the link to upload its archive to.",
        "GET /configuration-versions/{version_id}": "A configuration version.",
        "GET /configuration-versions/{version_id}/ingress-attributes": "The commit it came from: none, until there is version control.",
        "GET /configuration-versions/{version_id}/download": "The uploaded archive.",
        "POST /configuration-versions/{version_id}/actions/archive": "Delete the archive of one that is not needed any more.",
    },
)

STATES: Final = Section(
    "States",
    API,
    TOKEN + " The two uploads take the id of a pending state version for a credential; only those who may write know it.",
    {
        "GET /workspaces/{workspace_id}/state-versions": "A workspace's state versions, newest first.",
        "POST /workspaces/{workspace_id}/state-versions": "Announce a state, or bring it whole; the answer holds its upload links.",
        "PATCH /workspaces/{workspace_id}/state-versions": "Bring back the content of an earlier version, as a new one.",
        "GET /workspaces/{workspace_id}/resources": "The resources in the current state, instance by instance.",
        "POST /state-versions/{version_id}/actions/promote": "Make a state rescued from a lost runner current, as a new version.",
        "GET /workspaces/{workspace_id}/current-state-version": "The current state version; 404 when there is none.",
        "GET /workspaces/{workspace_id}/current-state-version-outputs": "The current outputs; values of sensitive ones are `null`.",
        "GET /state-versions": "A workspace's state versions, by `filter[organization][name]` and `filter[workspace][name]`.",
        "GET /state-versions/{version_id}": "A state version.",
        "GET /state-versions/{version_id}/outputs": "Its outputs.",
        "GET /state-versions/{version_id}/download": "Redirects to a signed link with the raw state.",
        "GET /state-version-outputs/{output_id}": "One output with its value, for those who may read sensitive ones.",
        "PUT /state-versions/{version_id}/content": "Upload the announced bytes.",
        "PUT /state-versions/{version_id}/json-content": "Upload terraform's parsed form of them.",
    },
)
