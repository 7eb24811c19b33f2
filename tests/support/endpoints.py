"""The endpoints that change something, once: what each is sent when all is well. Bad input, rights and fuzzing start from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from tests.support import wire
from tests.support.known_forge import known_forge, make_connection
from tests.support.listeners import make_listener, make_pool
from tests.support.providers import add_key, make_provider, publish_signed
from tests.support.releases import Publisher, Release


class Body(StrEnum):
    """What kind of body an endpoint reads."""

    DOCUMENT = "document"
    REFS = "refs"
    ACTION = "action"
    NONE = "none"


@dataclass(frozen=True)
class Endpoint:
    """One method of one path. `path` is relative to `/api/v2/`; its placeholders are filled from a `World`."""

    method: str
    path: str
    body: Body
    good: Any = None
    """A document it would take, with placeholders in its texts."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def attributes(self) -> Mapping[str, Any]:
        """Those of the good document."""
        found: Mapping[str, Any] = self.good["data"]["attributes"]
        return found


def _refs(*items: dict[str, Any]) -> dict[str, Any]:
    return {"data": list(items)}


_WORKSPACE = wire.document(
    "workspaces",
    name="never-made",
    description="text",
    execution_mode="remote",
    terraform_version="1.11.4",
    auto_apply=False,
    allow_destroy_plan=True,
    queue_all_runs=False,
    speculative_enabled=True,
    file_triggers_enabled=True,
    global_remote_state=False,
    working_directory="",
    labels={"env": "dev"},
)
_VARIABLE = wire.document("vars", key="never_made", value="text", category="terraform", hcl=False, sensitive=False, description="text")
_STATE = wire.document("state-versions", serial=1, md5="0" * 32, lineage=wire.LINEAGE, force=False)
_RUN = wire.document(
    "runs",
    {"workspace": {"type": "workspaces", "id": "{workspace}"}},
    message="text",
    is_destroy=False,
    auto_apply=False,
    plan_only=True,
    refresh=True,
    refresh_only=False,
    save_plan=False,
    allow_empty_apply=False,
    target_addrs=["terraform_data.one"],
    replace_addrs=["terraform_data.one"],
    variables=[{"key": "greeting", "value": '"hi"'}],
)
_PROJECT = wire.document("projects", name="never made", description="text")
_TOKEN = wire.document("authentication-tokens", description="text", expired_at="2098-01-01T00:00:00Z")
_BINDINGS = _refs({"type": "tag-bindings", "attributes": {"key": "env", "value": "dev"}})
_TAGS = _refs({"type": "tags", "attributes": {"name": "dev"}})
_CONSUMERS = _refs({"type": "workspaces", "id": "{other}"})

MODULE = "organizations/default/registry-modules/default/{module_name}/aws"
PROVIDER = "organizations/default/registry-providers/default/{provider_name}"

DOCUMENTS = (
    Endpoint("POST", "organizations/default/workspaces", Body.DOCUMENT, _WORKSPACE),
    Endpoint("PATCH", "organizations/default/workspaces/{name}", Body.DOCUMENT, _WORKSPACE),
    Endpoint("PATCH", "workspaces/{workspace}", Body.DOCUMENT, _WORKSPACE),
    Endpoint("POST", "workspaces/{workspace}/vars", Body.DOCUMENT, _VARIABLE),
    Endpoint("PATCH", "workspaces/{workspace}/vars/{variable}", Body.DOCUMENT, _VARIABLE),
    Endpoint("PATCH", "vars/{variable}", Body.DOCUMENT, _VARIABLE),
    Endpoint(
        "POST",
        "workspaces/{workspace}/configuration-versions",
        Body.DOCUMENT,
        wire.document("configuration-versions", auto_queue_runs=False, speculative=True, provisional=False),
    ),
    Endpoint("POST", "workspaces/{workspace}/state-versions", Body.DOCUMENT, _STATE),
    Endpoint(
        "PATCH",
        "workspaces/{workspace}/state-versions",
        Body.DOCUMENT,
        wire.document("state-versions", {"rollback-state-version": {"type": "state-versions", "id": "{state}"}}),
    ),
    Endpoint("POST", "runs", Body.DOCUMENT, _RUN),
    Endpoint("POST", "runs/{run}/comments", Body.DOCUMENT, wire.document("comments", body="text")),
    Endpoint("POST", "organizations/default/projects", Body.DOCUMENT, _PROJECT),
    Endpoint("PATCH", "projects/{project}", Body.DOCUMENT, _PROJECT),
    Endpoint("PATCH", "registry-modules/{module}", Body.DOCUMENT, wire.document("registry-modules", labels={"env": "dev"}, force=False)),
    Endpoint("POST", MODULE + "/versions", Body.DOCUMENT, wire.document("registry-module-versions", version="9.9.9")),
    Endpoint(
        "PATCH", MODULE + "/1.0.0", Body.DOCUMENT, wire.document("registry-module-versions", deprecation={"reason": "text", "link": None})
    ),
    Endpoint("PATCH", PROVIDER, Body.DOCUMENT, wire.document("registry-providers", labels={"env": "dev"}, force=False)),
    Endpoint(
        "POST",
        PROVIDER + "/versions",
        Body.DOCUMENT,
        wire.document("registry-provider-versions", version="9.9.9", key_id=None, protocols=["6.0"]),
    ),
    Endpoint(
        "PATCH",
        PROVIDER + "/versions/1.0.0",
        Body.DOCUMENT,
        wire.document("registry-provider-versions", deprecation={"reason": "text", "link": None}),
    ),
    Endpoint("POST", "authentication-tokens", Body.DOCUMENT, _TOKEN),
    Endpoint("POST", "users/{user}/authentication-tokens", Body.DOCUMENT, _TOKEN),
    Endpoint(
        "POST",
        "admin/users",
        Body.DOCUMENT,
        wire.document("users", email="never.made@example.com", username="never made", password="a quiet walnut drawer", force=False),
    ),
)

RELATIONSHIPS = (
    Endpoint("PATCH", "workspaces/{workspace}/tag-bindings", Body.REFS, _BINDINGS),
    Endpoint("POST", "workspaces/{workspace}/relationships/tag-bindings", Body.REFS, _BINDINGS),
    Endpoint("PATCH", "workspaces/{workspace}/relationships/tag-bindings", Body.REFS, _BINDINGS),
    Endpoint("POST", "workspaces/{workspace}/relationships/tags", Body.REFS, _TAGS),
    Endpoint("DELETE", "workspaces/{workspace}/relationships/tags", Body.REFS, _TAGS),
    Endpoint("POST", "workspaces/{workspace}/relationships/remote-state-consumers", Body.REFS, _CONSUMERS),
    Endpoint("PATCH", "workspaces/{workspace}/relationships/remote-state-consumers", Body.REFS, _CONSUMERS),
    Endpoint("DELETE", "workspaces/{workspace}/relationships/remote-state-consumers", Body.REFS, _CONSUMERS),
    Endpoint("POST", "projects/{project}/relationships/workspaces", Body.REFS, _CONSUMERS),
)

ACTIONS = (
    Endpoint("POST", "workspaces/{workspace}/actions/lock", Body.ACTION, {"reason": "text"}),
    *(
        Endpoint("POST", f"runs/{{run}}/actions/{action}", Body.ACTION, {"comment": "text"})
        for action in ("apply", "confirm", "discard", "cancel", "force-cancel", "force-execute", "retry")
    ),
)

BODILESS = (
    Endpoint("DELETE", "organizations/default/workspaces/{name}", Body.NONE),
    Endpoint("DELETE", "workspaces/{workspace}", Body.NONE),
    Endpoint("POST", "organizations/default/workspaces/{name}/actions/safe-delete", Body.NONE),
    Endpoint("POST", "workspaces/{workspace}/actions/safe-delete", Body.NONE),
    Endpoint("POST", "workspaces/{workspace}/actions/unlock", Body.NONE),
    Endpoint("POST", "workspaces/{workspace}/actions/force-unlock", Body.NONE),
    Endpoint("DELETE", "workspaces/{workspace}/vars/{variable}", Body.NONE),
    Endpoint("DELETE", "vars/{variable}", Body.NONE),
    Endpoint("POST", "configuration-versions/{configuration}/actions/archive", Body.NONE),
    Endpoint("DELETE", "projects/{project}", Body.NONE),
    Endpoint("DELETE", "authentication-tokens/{token}", Body.NONE),
)

WRITING = (*DOCUMENTS, *RELATIONSHIPS, *ACTIONS, *BODILESS)


@dataclass(frozen=True)
class World:
    """One of each thing, for the placeholders of a path; nothing of it is ever changed by a request that is refused."""

    name: str
    workspace: str
    other: str
    variable: str
    configuration: str
    run: str
    plan: str
    apply: str
    comment: str
    event: str
    state: str
    output: str
    project: str
    user: str
    token: str
    varset: str
    """A variable set that reaches `workspace`; an id that none has, where the one who makes the world may make none."""
    shared: str
    """The variable in it."""
    pool: str
    """An agent pool; likewise an id that none has."""
    listener: str
    """The listener in it."""
    module: str
    """A module for AWS with the version 1.0.0; likewise an id that none has."""
    module_name: str
    """What it is called in the namespace `default`."""
    provider: str
    """A provider with the version 1.0.0, which its publisher signed; likewise an id that none has."""
    provider_name: str
    """What it is called in the namespace `default`."""
    gpg_key: str
    """The id of the key that is bound to it, as terraform shows it."""
    connection: str
    """A connection with a forge, which no role may use; likewise an id that none has."""
    forge: str
    """The address of that forge."""
    sensitive: str
    """The value of the sensitive variable `hidden`."""
    oauth_token: str = "ot-none"
    """The id of a connection as its token, where one was planted."""

    def fill(self, text: str) -> str:
        """The text with its placeholders replaced."""
        for placeholder, value in vars(self).items():
            text = text.replace(f"{{{placeholder}}}", value)
        return text

    def filled(self, value: Any) -> Any:
        """A document with the placeholders of all its texts replaced."""
        if isinstance(value, str):
            return self.fill(value)
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        return [self.filled(item) for item in value] if isinstance(value, list) else value

    def path(self, endpoint: Endpoint) -> str:
        """The endpoint's path with real ids."""
        return self.fill(endpoint.path)


def make_world(api: httpx.Client) -> World:
    """A workspace with a variable, a state, a configuration and a run that waits behind the workspace's lock; a project, a token."""
    workspace, other = wire.make_workspace(api), wire.make_workspace(api)
    ident, secret = workspace["id"], f"xyzzy-{wire.fresh('sensitive')}-value"
    hidden = wire.document("vars", key="hidden", value=secret, category="terraform", sensitive=True)
    variable = wire.data(api.post(f"workspaces/{ident}/vars", json=hidden), 201)["id"]
    wire.lock(api, ident)
    state = wire.put_state(api, ident, wire.state(1, outputs={"said": "hello", "hidden": secret}))
    outputs = wire.data(api.get(f"state-versions/{state['id']}/outputs"))
    configuration = wire.make_configuration(api, ident)
    run = wire.data(api.get(f"runs/{wire.make_run(api, ident, configuration)}"))
    project = wire.data(api.post("organizations/default/projects", json=wire.document("projects", name=wire.fresh("project"))), 201)
    token = wire.data(api.post("authentication-tokens", json=wire.document("authentication-tokens", description="of the world")), 201)
    varset, shared = _make_varset(api, ident)
    pool, listener = _make_pool(api)
    module, module_name = _make_module(api)
    provider, provider_name, gpg_key = _make_provider(api)
    return World(
        name=workspace["attributes"]["name"],
        workspace=ident,
        other=other["id"],
        variable=variable,
        configuration=configuration,
        run=run["id"],
        plan=run["relationships"]["plan"]["data"]["id"],
        apply=run["relationships"]["apply"]["data"]["id"],
        comment=wire.data(api.post(f"runs/{run['id']}/comments", json=wire.document("comments", body="text")), 201)["id"],
        event=wire.data(api.get(f"runs/{run['id']}/run-events"))[0]["id"],
        state=state["id"],
        output=next(output["id"] for output in outputs if output["attributes"]["name"] == "hidden"),
        project=project["id"],
        user=wire.data(api.get("account/details"))["id"],
        token=token["id"],
        varset=varset,
        shared=shared,
        pool=pool,
        listener=listener,
        module=module,
        module_name=module_name,
        provider=provider,
        provider_name=provider_name,
        gpg_key=gpg_key,
        connection=_make_connection(api),
        forge=known_forge().url,
        sensitive=secret,
    )


def _make_varset(api: httpx.Client, workspace: str) -> tuple[str, str]:
    """A set that reaches the workspace, and its variable; platform admins alone make one."""
    if not wire.attributes(api.get(wire.ORG))["permissions"]["can-manage-varsets"]:
        return f"varset-{wire.UNKNOWN}", f"var-{wire.UNKNOWN}"
    made = wire.make_varset(api, {"shared": "text"}, workspaces=[workspace])
    return made["id"], made["relationships"]["vars"]["data"][0]["id"]


def _make_pool(api: httpx.Client) -> tuple[str, str]:
    """An agent pool and a listener in it; platform admins alone make one."""
    if not wire.attributes(api.get(wire.ORG))["permissions"]["can-manage-varsets"]:
        return f"apool-{wire.UNKNOWN}", f"agent-{wire.UNKNOWN}"
    pool = make_pool(api)["id"]
    return pool, make_listener(api, str(api.base_url).split("/api/")[0], pool).id


def _make_connection(api: httpx.Client) -> str:
    """A connection with a forge; likewise."""
    if not wire.attributes(api.get(wire.ORG))["permissions"]["can-manage-varsets"]:
        return f"vcs-{wire.UNKNOWN}"
    return str(make_connection(api)["id"])


def _make_module(api: httpx.Client) -> tuple[str, str]:
    """A module in the registry, with a version; platform admins alone make one, unless a role says otherwise."""
    name = wire.fresh("module")
    if not wire.attributes(api.get(wire.ORG))["permissions"]["can-manage-varsets"]:
        return f"mod-{wire.UNKNOWN}", name
    made = wire.make_module(api, name)
    wire.publish_module(api, name, "1.0.0")
    return str(made["id"]), name


def _make_provider(api: httpx.Client) -> tuple[str, str, str]:
    """A provider in the registry, with a version and the key that signs it; likewise."""
    name, publisher = wire.fresh("provider"), Publisher()
    if not wire.attributes(api.get(wire.ORG))["permissions"]["can-manage-varsets"]:
        return f"prov-{wire.UNKNOWN}", name, publisher.key_id
    made = make_provider(api, name)
    wire.data(add_key(api, publisher, name), 201)
    publish_signed(api, Release.made(name, "1.0.0"), publisher)
    return str(made["id"]), name, publisher.key_id
