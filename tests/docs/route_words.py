"""What each route is, in a sentence, by section. `nox -s docs` refuses a route that is missing here, and one that is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

API: Final = "/api/v2"
TOKEN: Final = "Needs an API token or a session: `Authorization: Bearer …`."


@dataclass(frozen=True)
class Section:
    """Routes that belong together."""

    title: str
    base: str
    """What every path here begins with."""
    credential: str
    """What a caller has to show."""
    words: Mapping[str, str]
    """A sentence by `METHOD path`, the path without `base`."""


_MODULES: Final = "/organizations/{org}/registry-modules"
_OF_A_MODULE: Final = {
    ("GET", ""): "A module, with its versions as `version-statuses`.",
    ("PATCH", ""): "Change a module's labels (`force`), owner or publishers.",
    ("DELETE", ""): "Delete a module, its versions and their archives; the name is never given away again.",
    ("GET", "/versions"): "A module's versions, the newest number first; what is not published is shown to those who publish.",
    ("POST", "/versions"): "Make a version; its archive goes to `links.upload`. 409 for a number that is there, or was.",
    ("GET", "/{version}"): "A version; while it waits for its archive, whoever made it finds `links.upload`.",
    ("PATCH", "/{version}"): "Deprecate (`deprecation`) or revoke (`revocation`) a version, or take that back with `null`.",
    ("DELETE", "/{version}"): "Delete a version and its archive; a number that was published is never given away again.",
    ("POST", "/{version}/actions/release"): "Publish a version that is held; for the module's publishers.",
    ("GET", "/consumers"): (
        "The workspaces whose runs used it, by version; `filter[version]`, `include=workspace,run`. "
        "`meta.workspaces` counts all, and those that one may not read."
    ),
    ("GET", "/downloads"): "How often each version was downloaded, by token, workspace and others; `filter[version]`.",
}

_PROVIDERS: Final = "/organizations/{org}/registry-providers"
_OF_A_PROVIDER: Final = {
    ("GET", ""): "A provider; `include=registry-provider-versions`.",
    ("PATCH", ""): "Change a provider's labels (`force`), owner or publishers.",
    ("DELETE", ""): "Delete a provider, its versions and their zips; the name is never given away again.",
    ("GET", "/versions"): "A provider's versions, the highest number first; what is not published is shown to those who publish.",
    ("POST", "/versions"): "Make a version: with `key-id` its publisher signs it, else the server. 409 for a number that is there, or was.",
    ("GET", "/versions/{version}"): "A version: what it `waits-for`, and for who made it the links that its files go to.",
    ("PATCH", "/versions/{version}"): "Deprecate (`deprecation`) or revoke (`revocation`) a version, or take that back with `null`.",
    ("DELETE", "/versions/{version}"): "Delete a version and its zips; a number that was published is never given away again.",
    ("POST", "/versions/{version}/actions/publish"): "Sign a version with the server's key, and publish it; 409 while a zip is missing.",
    ("POST", "/versions/{version}/actions/release"): "Publish a version that is held; for the provider's publishers.",
    ("GET", "/versions/{version}/platforms"): "The platforms of a version.",
    ("POST", "/versions/{version}/platforms"): "Announce the zip of a platform; it goes to `links.provider-binary-upload`.",
    ("GET", "/versions/{version}/platforms/{os}/{arch}"): "A platform, with the hashes of its zip.",
    ("DELETE", "/versions/{version}/platforms/{os}/{arch}"): "Take a platform back; 409 once its version is whole.",
    ("GET", "/consumers"): (
        "The workspaces whose runs used it, by version; `filter[version]`, `include=workspace,run`. "
        "`meta.workspaces` counts all, and those that one may not read."
    ),
    ("GET", "/downloads"): "How often each version was downloaded, by token, workspace and others; `filter[version]`.",
}

SECTIONS: Final = (
    Section(
        "Service",
        "",
        "Open to everybody.",
        {
            "GET /.well-known/terraform.json": "Service discovery: where terraform finds the API and `terraform login`.",
            "GET /health": "Whether the process answers.",
            "GET /ready": "Whether database and storage really work; 503 when one does not.",
            "GET /metrics": "Numbers for Prometheus, or OpenMetrics where `Accept` asks for it; [what each means](metrics.md).",
            "GET /api/v2/ping": "An empty object; its headers say the API's version.",
        },
    ),
    Section(
        "Organization",
        API,
        TOKEN,
        {
            "GET /organizations": "The one organization.",
            "GET /organizations/{org}": "The organization.",
            "GET /organizations/{org}/entitlement-set": "What is switched on; terraform reads `operations` here.",
            "GET /organizations/{org}/capacity": "How many runs wait and how many run.",
        },
    ),
    Section(
        "Users, tokens and sign-in",
        API,
        "Needs an API token or a session, except `auth/providers`, `auth/authorize` and `auth/callback`, which are the way to one.",
        {
            "GET /account/details": "The user or service account that asks.",
            "PATCH /account/update": "Change one's own name; local users only.",
            "PATCH /account/password": "Change one's own password; other sessions end.",
            "GET /users/{user_id}": "A user.",
            "GET /authentication-tokens": "The caller's API tokens.",
            "POST /authentication-tokens": "Make an API token; its text is in this answer only. `permission` and `workspaces` narrow it.",
            "GET /users/{user_id}/authentication-tokens": "A user's API tokens.",
            "POST /users/{user_id}/authentication-tokens": "The same; a platform admin makes one for a service account.",
            "GET /authentication-tokens/{token_id}": "An API token, without its text.",
            "DELETE /authentication-tokens/{token_id}": "Revoke an API token, and those made with it.",
            "GET /auth/providers": "The ways to sign in.",
            "GET /auth/providers/{name}/metadata": "What a provider's other side needs to know of this server, as SAML has it.",
            "GET /auth/authorize": "Begin a sign-in: a form to fill in, or where to send the browser.",
            "GET /auth/callback": "Finish a sign-in that came back from another site.",
            "POST /auth/callback": "Finish a sign-in with a form; answers a session's token, or sets the browser's cookie.",
            "GET /auth/sessions": "The caller's live sessions.",
            "DELETE /auth/sessions": "End all of the caller's sessions but the one that is shown.",
            "DELETE /auth/sessions/{session_id}": "End one of the caller's sessions; a platform admin anybody's.",
            "POST /auth/logout": "End the session that is shown.",
        },
    ),
    Section(
        "Administering users",
        API,
        "Needs a platform admin; reading, also a platform auditor. An address, or a service account's name, does for `{user_id}`.",
        {
            "GET /admin/users": "Users; `q`, `filter[admin]`, `filter[suspended]` and `filter[service-account]` narrow the list.",
            "POST /admin/users": "Make a local user, or with `is-service-account` an account for a program.",
            "GET /admin/users/{user_id}": "A user as administrators see them.",
            "PATCH /admin/users/{user_id}": "Change a user's name, a local user's address, or whether they are platform admin.",
            "DELETE /admin/users/{user_id}": "Delete a user with their tokens, sessions and roles; what they owned belongs to nobody then.",
            "POST /admin/users/{user_id}/actions/suspend": "Shut a user out: sessions end, tokens are refused within seconds.",
            "POST /admin/users/{user_id}/actions/unsuspend": "Let a user in again; their tokens work as before.",
            "POST /admin/users/{user_id}/actions/grant_admin": "Make a user platform admin, in TFE's spelling.",
            "POST /admin/users/{user_id}/actions/grant-admin": "The same.",
            "POST /admin/users/{user_id}/actions/revoke_admin": "Take that away, in TFE's spelling; the last platform admin stays one.",
            "POST /admin/users/{user_id}/actions/revoke-admin": "The same.",
            "POST /admin/users/{user_id}/actions/reset-password": "Set a local user's password; without one it is made and told once.",
            "GET /admin/users/{user_id}/sessions": "A user's live sessions.",
            "DELETE /admin/users/{user_id}/sessions": "End all of a user's sessions.",
        },
    ),
    Section(
        "Audit",
        API,
        "Needs a platform admin or a platform auditor.",
        {
            "GET /admin/audit-log": "Who did what, newest first, as JSON or CSV. [The audit record](../how-to/audit.md) lists the filters.",
        },
    ),
    Section(
        "Binary cache",
        API,
        TOKEN + " Everything but the download is for platform admins; platform auditors may look.",
        {
            "GET /binary-cache/{tool}/{version}/{os}/{arch}": (
                "302 to the zip of terraform or tofu. `version` is exact, `latest`, `1.11` or constraints (`%3E%3D%201.9%2C%20%3C%202.0`)."
            ),
            "GET /admin/binary-cache": "The zips that are here, the last used first.",
            "POST /admin/binary-cache/warm": (
                "Bring a `tool` and `version` here, for `os` and `arch` or for `platforms`; answers with a warming for each. "
                "202 while some are still to come, 200 when all are here."
            ),
            "GET /admin/binary-cache/warm/{warming_id}": "How far a warming is: `status`, `received` bytes; `message` when it failed.",
            "DELETE /admin/binary-cache/{tool}/{version}/{os}/{arch}": "Remove a zip; its digest stays known. 409 while a run needs it.",
        },
    ),
    Section(
        "Keys of mirrors",
        API,
        "Needs a platform admin; a platform auditor may see the list.",
        {
            "GET /admin/mirror-keys": "The keys that may sign what is mirrored, by what they are for.",
            "GET /admin/mirror-keys/offered": "The keys that the upstream of `filter[scope]` names, asked for now.",
            "POST /admin/mirror-keys": "Let a key (`scope`, `fingerprint`) sign that its upstream names now.",
            "DELETE /admin/mirror-keys/{key_id}": "Let a key sign nothing new.",
        },
    ),
    Section(
        "Tokens of organizations and teams",
        API,
        "There are none here; every request is answered 404 with a sentence that says to use a service account.",
        {
            f"{method} {path}": "Not served."
            for path in (
                "/organizations/{org}/authentication-token",
                "/organizations/{org}/team-tokens",
                "/teams/{team_id}/authentication-token",
                "/teams/{team_id}/authentication-tokens",
            )
            for method in ("GET", "POST", "DELETE")
        },
    ),
    Section(
        "Roles and assignments",
        API,
        "Needs a platform admin; reading, also a platform auditor.",
        {
            "GET /roles": "The built-in roles, then the custom ones by name.",
            "POST /roles": "Make a role.",
            "GET /roles/{name}": "A role.",
            "PATCH /roles/{name}": "Change a role; it keeps its name.",
            "DELETE /roles/{name}": "Delete a role, and take it from everybody who holds it.",
            "GET /role-assignments": "Who holds which roles; `filter[email]`, `filter[provider-name]` and `filter[role]` narrow it.",
            "PUT /role-assignments": "Let a person hold exactly these roles.",
            "DELETE /role-assignments/{provider}/{email}/{role}": "Take one role from a person.",
        },
    ),
    Section(
        "terraform login",
        "",
        "The page needs a browser session, the token endpoint a code and its PKCE verifier.",
        {
            "GET /oauth/authorize": "The page that asks whether terraform may have a token.",
            "POST /oauth/authorize": "The click on it: a code goes to terraform.",
            "POST /oauth/token": "A code for an API token.",
        },
    ),
    Section(
        "Projects",
        API,
        TOKEN,
        {
            "GET /organizations/{org}/projects": "Projects; `filter[names]` finds one by name.",
            "POST /organizations/{org}/projects": "Make a project.",
            "GET /projects/{project_id}": "A project.",
            "PATCH /projects/{project_id}": "Change a project.",
            "DELETE /projects/{project_id}": "Delete a project that holds no workspace.",
            "POST /projects/{project_id}/relationships/workspaces": "Move workspaces into a project.",
        },
    ),
    Section(
        "Workspaces",
        API,
        TOKEN,
        {
            "GET /organizations/{org}/workspaces": "Workspaces; `search[name]`, `search[tags]` and `filter[tagged]` narrow the list.",
            "POST /organizations/{org}/workspaces": "Make a workspace; only its name must be given.",
            "GET /organizations/{org}/workspaces/{name}": "A workspace by name.",
            "PATCH /organizations/{org}/workspaces/{name}": "Change a workspace.",
            "DELETE /organizations/{org}/workspaces/{name}": "Delete a workspace and all it holds.",
            "POST /organizations/{org}/workspaces/{name}/actions/safe-delete": "Delete a workspace unless its state has resources.",
            "GET /workspaces/{workspace_id}": "A workspace by id.",
            "PATCH /workspaces/{workspace_id}": "Change a workspace.",
            "DELETE /workspaces/{workspace_id}": "Delete a workspace and all it holds.",
            "POST /workspaces/{workspace_id}/actions/safe-delete": "Delete a workspace unless its state has resources.",
            "POST /workspaces/{workspace_id}/actions/lock": "Lock it; runs wait until it is unlocked.",
            "POST /workspaces/{workspace_id}/actions/unlock": "Take back one's own lock.",
            "POST /workspaces/{workspace_id}/actions/force-unlock": "Take away somebody's lock.",
            "POST /workspaces/{workspace_id}/conditions/{code}/actions/acknowledge": (
                "Say that a condition was dealt with: it ends. A comment may come with it."
            ),
        },
    ),
    Section(
        "Labels, tags and state sharing",
        API,
        TOKEN,
        {
            "GET /organizations/{org}/tags": "Every tag in use.",
            "GET /workspaces/{workspace_id}/tag-bindings": "A workspace's labels, as key and value.",
            "PATCH /workspaces/{workspace_id}/tag-bindings": "Add labels, or change their values.",
            "GET /workspaces/{workspace_id}/effective-tag-bindings": "The labels in force.",
            "GET /workspaces/{workspace_id}/relationships/tag-bindings": "The same labels, as a relationship.",
            "POST /workspaces/{workspace_id}/relationships/tag-bindings": "Add labels.",
            "PATCH /workspaces/{workspace_id}/relationships/tag-bindings": "Replace all labels.",
            "GET /workspaces/{workspace_id}/relationships/tags": "A workspace's tags: its labels without values.",
            "POST /workspaces/{workspace_id}/relationships/tags": "Add tags.",
            "DELETE /workspaces/{workspace_id}/relationships/tags": "Remove tags.",
            "GET /workspaces/{workspace_id}/relationships/remote-state-consumers": "Which workspaces may read this one's state.",
            "POST /workspaces/{workspace_id}/relationships/remote-state-consumers": "Let further workspaces read it.",
            "PATCH /workspaces/{workspace_id}/relationships/remote-state-consumers": "Replace the list.",
            "DELETE /workspaces/{workspace_id}/relationships/remote-state-consumers": "Take workspaces off the list.",
        },
    ),
    Section(
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
    ),
    Section(
        "Modules of the registry",
        API,
        f"{TOKEN} The first two are what terraform asks at `init`, and a run's terraform may too. "
        "What stands at a path with `private/` is the same without it.",
        {
            "GET /registry/modules/{namespace}/{name}/{provider}/versions": "The published versions, for terraform.",
            "GET /registry/modules/{namespace}/{name}/{provider}/{version}/download": (
                "204 with the archive's link as `X-Terraform-Get`; 410 with the reason, as text, for a revoked version."
            ),
            f"GET {_MODULES}": "Modules; `q`, `search[name]`, `filter` by `provider`, `name`, `namespace` and `tagged`, `sort`.",
            f"POST {_MODULES}": "Make a module without a version.",
            **{
                f"{method} {_MODULES}/{private}{{namespace}}/{{name}}/{{provider}}{rest}": words
                for private in ("", "private/")
                for (method, rest), words in _OF_A_MODULE.items()
            },
            f"GET {_MODULES}/private/{{namespace}}/{{name}}/{{provider}}/version": "A version, by `module_version`, as go-tfe asks.",
            f"DELETE {_MODULES}/private/{{namespace}}/{{name}}": "Delete a name for all its providers, all or none.",
            "GET /registry-modules/{module_id}": "A module, by its id.",
            "PATCH /registry-modules/{module_id}": "Change it.",
            "GET /registry-modules/{module_id}/tag-bindings": "Its labels.",
            "GET /registry-modules/{module_id}/versions": "Its versions.",
            "POST /registry-modules/{org}/{name}/{provider}/versions": "Make a version, as older clients do.",
            "POST /registry-modules/actions/delete/{org}/{name}": "Delete a name for all its providers, as older clients do.",
            "POST /registry-modules/actions/delete/{org}/{name}/{provider}": "Delete a module, likewise.",
            "POST /registry-modules/actions/delete/{org}/{name}/{provider}/{version}": "Delete a version, likewise.",
        },
    ),
    Section(
        "Mirrors",
        "/v1",
        f"{TOKEN} What terraform asks at `init`, and a run's terraform may too. "
        "[How it is set up](../how-to/mirror-providers-and-modules.md).",
        {
            "GET /providers/{hostname}/{namespace}/{type_name}/index.json": "The versions, by the network mirror protocol.",
            "GET /providers/{hostname}/{namespace}/{type_name}/{version}.json": (
                "Where the zip of each platform is, with `zh:` of all that are signed and `h1:` of all that were here."
            ),
            "GET /providers/{hostname}/{namespace}/{type_name}/versions": "The versions, by the registry protocol.",
            "GET /providers/{hostname}/{namespace}/{type_name}/{version}/download/{os}/{arch}": (
                "Where the zip, its sums and their signature are, and the key that made it, by the registry protocol."
            ),
            "GET /modules/{hostname}/{namespace}/{name}/{provider}/versions": "The versions, by the registry protocol.",
            "GET /modules/{hostname}/{namespace}/{name}/{provider}/{version}/download": (
                "204 with the archive's link as `X-Terraform-Get`; 424 with the reason, as text, when it cannot be had."
            ),
        },
    ),
    Section(
        "What is in a module",
        "/api/registry/v1/modules",
        TOKEN,
        {
            "GET /{namespace}/{name}/{provider}": "Inputs, outputs and README of the newest version in use, as go-tfe reads them.",
            "GET /{namespace}/{name}/{provider}/{version}": "The same of a version.",
        },
    ),
    Section(
        "Providers of the registry",
        API,
        f"{TOKEN} The first two are what terraform asks at `init`, and a run's terraform may too. "
        "What stands at a path with `private/` is the same without it.",
        {
            "GET /registry/providers/{namespace}/{name}/versions": (
                "The published versions that are not revoked, with `warnings` about deprecated and revoked ones."
            ),
            "GET /registry/providers/{namespace}/{name}/{version}/download/{os}/{arch}": (
                "Where the zip, its sums and their signature are, and the key; 404 for another platform, 410 with the reason when revoked."
            ),
            f"GET {_PROVIDERS}": "Providers; `q`, `filter` by `namespace` and `tagged`.",
            f"POST {_PROVIDERS}": "Make a provider without a version.",
            **{
                f"{method} {_PROVIDERS}/{private}{{namespace}}/{{name}}{rest}": words
                for private in ("", "private/")
                for (method, rest), words in _OF_A_PROVIDER.items()
            },
            "GET /registry-providers/{provider_id}": "A provider, by its id.",
            "GET /registry-providers/{provider_id}/tag-bindings": "Its labels.",
        },
    ),
    Section(
        "GPG keys",
        "/api/registry/private/v2",
        TOKEN,
        {
            "GET /gpg-keys": "Keys; `filter[namespace]`.",
            "POST /gpg-keys": "Add a key for `providers`, or for the whole namespace; one that is there is bound to more of them.",
            "GET /gpg-keys/{namespace}/{key_id}": "A key.",
            "PATCH /gpg-keys/{namespace}/{key_id}": "Nothing can be changed of a key; 409 for another namespace.",
            "DELETE /gpg-keys/{namespace}/{key_id}": "Delete a key; 409 while it signs what can be downloaded.",
        },
    ),
    Section(
        "Agent pools",
        API,
        TOKEN,
        {
            "GET /organizations/{org}/agent-pools": "Agent pools; `q`, `sort` by `name` or `created-at`.",
            "POST /organizations/{org}/agent-pools": "Make an agent pool.",
            "GET /agent-pools/{pool_id}": "An agent pool; `agent-count` counts listeners that are idle, busy or unknown.",
            "PATCH /agent-pools/{pool_id}": "Change a pool's name, service account or labels.",
            "DELETE /agent-pools/{pool_id}": "Delete a pool; 409 while listeners of it count.",
            "GET /agent-pools/{pool_id}/authentication-tokens": "A pool's join tokens. `authentication-tokens/{id}` shows and revokes one.",
            "POST /agent-pools/{pool_id}/authentication-tokens": "Make a join token: `uses` (1) and `expired-at` (in an hour).",
            "GET /agent-pools/{pool_id}/listeners": "A pool's listeners; `filter[status]`, `filter[last-ping-since]`.",
            "GET /listeners/{listener_id}": "A listener.",
            "POST /listeners/{listener_id}/actions/drain": "Give a listener nothing more.",
            "POST /listeners/{listener_id}/actions/undrain": "Give it runs again.",
            "POST /listeners/{listener_id}/actions/revoke": "Believe a listener's key no more; its name stays taken until it is removed.",
            "GET /agent-pools/{pool_id}/agents": "The listeners as go-tfe knows them; `filter[status]`, `filter[last-ping-since]`.",
            "GET /agents/{listener_id}": "A listener as go-tfe knows it.",
            "DELETE /agents/{listener_id}": "Forget a listener and free its name; 412 while it is heard.",
        },
    ),
    Section(
        "Listeners",
        API,
        "Called by listeners: the first with a join token, the others signed. [The listener protocol](listener-protocol.md) says how.",
        {
            "POST /agent-pools/{pool_id}/listeners/join": "Join a pool: a name and a signing request, answered with a certificate.",
            "POST /listeners/{listener_id}/heartbeat": "Be heard, and learn how one stands.",
            "POST /listeners/{listener_id}/renew": "A new certificate over the same key; the one that is shown may be expired.",
            "GET /listeners/{listener_id}/runs/next": "Wait for a run, or for news of those one has; a long poll, and a heartbeat.",
            "PATCH /listeners/{listener_id}/runs/{run_id}": "Tell of a run that one was given what its program cannot.",
        },
    ),
    Section(
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
    ),
    Section(
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
    ),
    Section(
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
    ),
    Section(
        "Runs",
        API,
        TOKEN,
        {
            "POST /runs": "Queue a run.",
            "GET /runs/{run_id}": "A run.",
            "GET /workspaces/{workspace_id}/runs": "A workspace's runs, newest first.",
            "GET /organizations/{org}/runs": "Runs of all workspaces the caller sees.",
            "GET /organizations/{org}/runs/queue": "Waiting runs, in the order of service.",
            "GET /runs": "The same; `workspace_id` names one workspace.",
            "GET /runs/{run_id}/comments": "What was said about a run, oldest first.",
            "POST /runs/{run_id}/comments": "Say something about a run.",
            "GET /comments/{comment_id}": "A comment.",
            "GET /runs/{run_id}/configuration-version": "The configuration version of a run.",
            "GET /runs/{run_id}/configuration-version/download": "Leads to its archive.",
            "GET /runs/{run_id}/run-events": "What happened to a run, and who did it.",
            "GET /run-events/{event_id}": "One thing that happened to a run.",
            "POST /runs/{run_id}/actions/apply": "Confirm a planned run; what terraform calls.",
            "POST /runs/{run_id}/actions/confirm": "Confirm a planned run.",
            "POST /runs/{run_id}/actions/discard": "Give up a run before its apply.",
            "POST /runs/{run_id}/actions/cancel": "Interrupt terraform, as Ctrl-C does.",
            "POST /runs/{run_id}/actions/force-cancel": "Kill terraform; possible a minute after `cancel`.",
            "POST /runs/{run_id}/actions/force-execute": "Let a pending run go first; a run that waits for a decision is discarded for it.",
            "POST /runs/{run_id}/actions/retry": "A new run of the same configuration with the same options, as the caller's own.",
            "GET /runs/{run_id}/plan": "The run's plan.",
            "GET /runs/{run_id}/apply": "The run's apply.",
            "GET /runs/{run_id}/plan/json-output": "The plan as JSON, secrets included.",
            "GET /plans/{plan_id}": "A plan, with the link to its log.",
            "GET /plans/{plan_id}/json-output": "The plan as JSON, secrets included.",
            "GET /plans/{plan_id}/json-output-redacted": "The plan as JSON for terraform's own rendering, sensitive values removed.",
            "GET /plans/{plan_id}/json-schema": "The schemas of the providers that the plan used.",
            "GET /runs/{run_id}/plan/json-schema": "The same.",
            "GET /applies/{apply_id}": "An apply, with the link to its log.",
            "GET /applies/{apply_id}/errored-state": "Redirects to the newest state that a failed or cancelled apply left.",
        },
    ),
    Section(
        "Streams",
        API,
        TOKEN + " What is told, and how one comes back: [Events](events.md).",
        {
            "GET /runs/{run_id}/events": "What happens to a run.",
            "GET /workspaces/{workspace_id}/events": "What happens to a workspace and its runs.",
            "GET /organizations/{org}/events": "What happens to everything the caller may read.",
            "GET /plans/{plan_id}/log-stream": "The plan's log, and what is appended to it.",
            "GET /applies/{apply_id}/log-stream": "The apply's log, and what is appended to it.",
        },
    ),
    Section(
        "Signed links",
        "",
        "The address is the credential: it names one purpose, one method, one object and an expiry, under a signature.",
        {
            "GET /c/{token}": "Download a state, an archive, a plan's JSON, or read a log by `offset` and `limit`.",
            "PUT /c/{token}": "Upload a state or an archive. The same bytes again are 200, others 409.",
        },
    ),
    Section(
        "Phase protocol",
        "/api/runner/v1/phases/{phase_id}",
        "Needs the token of the phase. The whole protocol: [The phase protocol](phase-protocol.md).",
        {
            "POST /claim": "Take the phase.",
            "GET /engine": "An engine of the binary cache (`tool`, `version`, `os`, `arch`), or why there is none.",
            "POST /started": "Say which engine was chosen.",
            "GET /configuration": "The archive to unpack.",
            "GET /state": "The state to start from.",
            "PUT /state": "Hand in a state.",
            "GET /plan-file": "The saved plan to apply.",
            "PUT /{artifact}": "Hand in the plan file, the plan's JSON or the providers' schemas.",
            "PUT /log": "Append to the log.",
            "POST /renew": "Keep the lease, and hear whether to stop.",
            "POST /report": "How the phase ended.",
        },
    ),
    Section(
        "Pages",
        "",
        "For browsers, with a session's cookie, which never counts under `/api/v2`. Signing in needs none.",
        {
            "GET /": "Leads to `/app`.",
            "GET /app": "The workspaces.",
            "GET /app/{org}/workspaces": "Leads to `/app`.",
            "GET /app/{org}/workspaces/{workspace}": "A workspace: its runs, health, lock, state and variables.",
            "GET /app/{org}/workspaces/{workspace}/stream": "News for that page while it is open, as Server-Sent Events.",
            "POST /app/{org}/workspaces/{workspace}/actions/{action}": "Lock, unlock, acknowledge, promote or roll back.",
            "GET /app/{org}/{workspace}/runs/{run_id}": "A run: status, log, and what can be done. terraform prints this address.",
            "GET /app/{org}/workspaces/{workspace}/runs/{run_id}": "Leads to the run.",
            "GET /app/{org}/{workspace}/runs/{run_id}/progress": "The part of the page that changes while the run goes on.",
            "GET /app/{org}/{workspace}/runs/{run_id}/stream": "News and logs for that page while it is open, as Server-Sent Events.",
            "GET /app/stream": "News for the page of workspaces.",
            "GET /app/{org}/{workspace}/runs/{run_id}/logs/{phase_id}": "A part of the log, from `offset`.",
            "GET /app/{org}/{workspace}/runs/{run_id}/logs/{phase_id}/raw": "The whole log as a file.",
            "POST /app/{org}/{workspace}/runs/{run_id}/actions/{action}": "Confirm, discard, cancel, try again, or say something about it.",
            "GET /app/{org}/registry": "Leads to the modules.",
            "GET /app/{org}/registry/modules": "The modules, narrowed by `search` and `label`.",
            "GET /app/{org}/registry/modules/{namespace}/{name}/{provider}": "A module, at its newest version that can be used.",
            "GET /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}": "The same at a version; `part` is a submodule.",
            "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}/usage": "The block that calls it with these inputs.",
            "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}/actions/{action}": "Mark or delete a version.",
            "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/{version}/release": "Release a version that is held.",
            "POST /app/{org}/registry/modules/{namespace}/{name}/{provider}/actions/delete": "Delete a module.",
            "GET /app/{org}/registry/providers": "The providers, likewise.",
            "GET /app/{org}/registry/providers/{namespace}/{name}": "A provider, at its newest version that can be used.",
            "GET /app/{org}/registry/providers/{namespace}/{name}/{version}": "The same at a version.",
            "POST /app/{org}/registry/providers/{namespace}/{name}/{version}/actions/{action}": "Mark or delete a version.",
            "POST /app/{org}/registry/providers/{namespace}/{name}/{version}/release": "Release a version that is held.",
            "POST /app/{org}/registry/providers/{namespace}/{name}/actions/delete": "Delete a provider.",
            "GET /app/{org}/registry/keys": "The GPG keys that verify providers, and the server's own.",
            "GET /app/settings/tokens": "The caller's API tokens.",
            "POST /app/settings/tokens": "Make an API token; it is shown once.",
            "POST /app/settings/tokens/{token_id}/revoke": "Revoke one.",
            "GET /app/settings/account": "The caller's name, password, and where they are signed in.",
            "POST /app/settings/account/name": "Change the name.",
            "POST /app/settings/account/password": "Change the password.",
            "POST /app/settings/account/sessions/{session_id}/revoke": "End a session.",
            "POST /app/settings/account/sessions/revoke-others": "End all other sessions.",
            "GET /app/sign-in": "The ways to sign in; `again=1` asks somebody who is signed in, too.",
            "POST /app/sign-in": "Sign in.",
            "POST /app/sign-out": "Sign out.",
            "GET /app/static/{name}": "A style sheet or a script of these pages.",
        },
    ),
)
