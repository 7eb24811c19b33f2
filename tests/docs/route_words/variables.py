"""Variables of workspaces and of sets."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

VARIABLES: Final = Section(
    "Variables",
    API,
    TOKEN,
    {
        "GET /workspaces/{workspace_id}/vars": "A workspace's variables; the value of a sensitive one is `null`.",
        "GET /workspaces/{workspace_id}/all-vars": (
            "The variables in force, each with its `origin`; `meta.withheld` names sets that do not reach the workspace."
        ),
        "POST /workspaces/{workspace_id}/vars": "Make a variable.",
        "GET /workspaces/{workspace_id}/vars/{variable_id}": "A variable.",
        "PATCH /workspaces/{workspace_id}/vars/{variable_id}": "Change a variable.",
        "DELETE /workspaces/{workspace_id}/vars/{variable_id}": "Delete a variable.",
        "GET /vars": "Variables of the workspace that the filters name.",
        "POST /vars": "Make a variable in the workspace that the document names.",
        "PATCH /vars/{variable_id}": "Change a variable.",
        "DELETE /vars/{variable_id}": "Delete a variable.",
    },
)

VARIABLE_SETS: Final = Section(
    "Variable sets",
    API,
    TOKEN,
    {
        "GET /organizations/{org}/varsets": "Variable sets; `q`, `filter[global]`.",
        "POST /organizations/{org}/varsets": "Make a variable set, with variables and assignments when they are sent too.",
        "GET /workspaces/{workspace_id}/varsets": "The sets that reach a workspace, whichever way.",
        "GET /projects/{project_id}/varsets": "The sets that are meant for all workspaces of a project.",
        "GET /varsets/{varset_id}": "A variable set; `include` takes `vars`, `workspaces`, `projects`.",
        "PATCH /varsets/{varset_id}": "Change a set; `workspaces` and `projects` take the place of the former ones.",
        "PUT /varsets/{varset_id}": "The same.",
        "DELETE /varsets/{varset_id}": "Delete a set with its variables.",
        "GET /varsets/{varset_id}/relationships/vars": "The variables of a set; the value of a sensitive one is `null`.",
        "POST /varsets/{varset_id}/relationships/vars": "Make a variable in a set.",
        "GET /varsets/{varset_id}/relationships/vars/{variable_id}": "A variable of a set.",
        "PATCH /varsets/{varset_id}/relationships/vars/{variable_id}": "Change a variable of a set.",
        "DELETE /varsets/{varset_id}/relationships/vars/{variable_id}": "Delete a variable of a set.",
        "POST /varsets/{varset_id}/relationships/workspaces": "Assign a set to these workspaces too.",
        "PATCH /varsets/{varset_id}/relationships/workspaces": "Assign a set to these workspaces and no others.",
        "DELETE /varsets/{varset_id}/relationships/workspaces": "Take a set from these workspaces.",
        "POST /varsets/{varset_id}/relationships/projects": "Assign a set to these projects too.",
        "PATCH /varsets/{varset_id}/relationships/projects": "Assign a set to these projects and no others.",
        "DELETE /varsets/{varset_id}/relationships/projects": "Take a set from these projects.",
    },
)
