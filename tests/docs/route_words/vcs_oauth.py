"""Connections by go-tfe's names: OAuth clients and tokens, installations of an app."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

_ORGANIZATION: Final = "/organizations/{org}"

OAUTH: Final = Section(
    "VCS connections by go-tfe's names",
    API,
    f"{TOKEN} These are VCS connections: `oc-…`, `ot-…` and `ghain-…` stand for `vcs-…`. "
    "One that acts with a token is a client, one that acts as an app is an installation.",
    {
        f"GET {_ORGANIZATION}/oauth-clients": "Connections that act with a token; `include=oauth_tokens,projects`.",
        f"POST {_ORGANIZATION}/oauth-clients": (
            "Make a connection: `service-provider`, `http-url`, `oauth-token-string`; "
            "`organization-scoped` and the relationship `projects`."
        ),
        "GET /oauth-clients/{client_id}": "One of them; no secret of it is shown.",
        "PATCH /oauth-clients/{client_id}": "Change its `name`, its `oauth-token-string`, or for which projects it is.",
        "DELETE /oauth-clients/{client_id}": "Delete the connection; what follows its repositories follows nothing any more.",
        "GET /oauth-clients/{client_id}/oauth-tokens": "Its one token.",
        "POST /oauth-clients/{client_id}/relationships/projects": "Let these projects use it, and none that is not named.",
        "DELETE /oauth-clients/{client_id}/relationships/projects": "Let these projects use it no longer.",
        f"GET {_ORGANIZATION}/oauth-tokens": "The tokens of all of them: ids, and as whom the forges know them.",
        "GET /oauth-tokens/{token_id}": "One of them.",
        "PATCH /oauth-tokens/{token_id}": "Set its `ssh-key`; 422 where the forge has no use for one.",
        "DELETE /oauth-tokens/{token_id}": "Delete the connection.",
        "GET /oauth-tokens/{token_id}/authorized-repos": "Repositories that it reaches, as many as the forge lists.",
        f"GET {_ORGANIZATION}/vcs/repo": "Whether a token reaches a repository: `oauth_token_id`, `identifier`.",
        "GET /github-app/installations": "Connections that act as an app; `filter[name]`, `filter[installation_id]`.",
        "GET /github-app/installation/{installation_id}": "One of them.",
        f"GET {_ORGANIZATION}/github-app-installations": "All of them.",
        f"GET {_ORGANIZATION}/github-app-installations/{{installation_id}}/repos": "Repositories that it reaches.",
    },
)
