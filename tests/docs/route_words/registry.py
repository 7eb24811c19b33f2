"""The private registry: modules, providers, and the keys that sign them."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

_MODULES: Final = "/organizations/{org}/registry-modules"
_OF_A_MODULE: Final = {
    ("GET", ""): "A module, with its versions as `version-statuses`.",
    ("PATCH", ""): "Change a module's labels (`force`), owner, publishers or `vcs-repo` (`null`: it follows no repository).",
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

MODULES: Final = Section(
    "Modules of the registry",
    API,
    f"{TOKEN} The first two are what terraform asks at `init`, and a run's terraform may too. "
    "What stands at a path with `private/` is the same without it.",
    {
        "GET /registry/modules/{namespace}/{name}/{provider}/versions": "The published versions, for terraform.",
        "GET /registry/modules/{namespace}/{name}/{provider}/{version}/download": (
            "204 with the archive's link as `X-Terraform-Get`; 410 with the reason, as text, for a revoked version."
        ),
        f"POST {_MODULES}/vcs": (
            "Make a module whose versions are the tags of a repository: `vcs-repo` with `identifier`, `oauth-token-id` or "
            "`github-app-installation-id` (or the relationship `vcs-connection`), `tag-prefix`, `source-directory`."
        ),
        "POST /registry-modules": "The same, at the path of older clients.",
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
)

CONTENTS: Final = Section(
    "What is in a module",
    "/api/registry/v1/modules",
    TOKEN,
    {
        "GET /{namespace}/{name}/{provider}": "Inputs, outputs and README of the newest version in use, as go-tfe reads them.",
        "GET /{namespace}/{name}/{provider}/{version}": "The same of a version.",
    },
)

PROVIDERS: Final = Section(
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
)

GPG_KEYS: Final = Section(
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
)
