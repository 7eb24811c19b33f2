"""Who gets which answer from which route: one table, walked by `tests/house/test_gate.py` and printed in the documentation.

A row says what a route needs. What each kind of person is answered follows from that, so that a wrong answer of a route
cannot be written down as right by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from terrapod_core.authz import NEEDS, Level, Permission
from tests.support import wire


class Who(StrEnum):
    """Those who ask, by what they hold on the workspace that the walk is about."""

    ANONYMOUS = "anonymous"
    NONE = "none"
    READ = "read"
    PLAN = "plan"
    WRITE = "write"
    ADMIN = "admin"
    AUDIT = "audit"
    PLATFORM = "platform admin"
    SUPERVISOR = "runner's supervisor"
    ENGINE = "runner's engine"


LEVELS: Final[dict[Who, Level]] = {
    Who.NONE: Level.NONE,
    Who.READ: Level.READ,
    Who.PLAN: Level.PLAN,
    Who.WRITE: Level.WRITE,
    Who.ADMIN: Level.ADMIN,
    Who.AUDIT: Level.READ,
    Who.PLATFORM: Level.ADMIN,
}
"""What they hold there: by a role of that level, or by a platform role."""


class Gets(StrEnum):
    """What an answer comes to."""

    IN = "in"
    """The route did what it does, or said what is wrong with what was sent."""
    FORBIDDEN = "403"
    HIDDEN = "404"
    """As for what does not exist. For an id inside a document that is 422."""
    UNKNOWN = "401"
    REFUSED = "401 or 404"
    """At a door of runners: nothing is told to anybody else."""


@dataclass(frozen=True)
class Open:
    """For everybody, without a token; `why` it can be."""

    why: str

    def words(self) -> str:
        return f"everybody: {self.why}"

    def gets(self, who: Who) -> Gets:
        return Gets.IN


@dataclass(frozen=True)
class SignedIn:
    """For everybody who is signed in: it is about themselves, shows only what they may see, or makes something of their own."""

    about: str
    engine: bool = False
    """Whether it is open to what terraform itself holds during a run, too."""

    def words(self) -> str:
        return f"everybody who is signed in: {self.about}" + ("; a run's engine" if self.engine else "")

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.IN if self.engine else Gets.HIDDEN
        return Gets.IN if who in LEVELS else Gets.UNKNOWN


@dataclass(frozen=True)
class On:
    """Needs a permission on the workspace."""

    permission: Permission
    engine: bool = False
    """Whether what terraform itself holds during a run opens it, for the run's own workspace and those that share state with it."""

    def words(self) -> str:
        engine = "; a run's engine, for its own workspace and those that share their state with it" if self.engine else ""
        return f"`{NEEDS[self.permission].name.lower()}` on the workspace (`{self.permission}`){engine}"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.IN if self.engine else Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        if LEVELS[who] < Level.READ:
            return Gets.HIDDEN
        return Gets.IN if LEVELS[who] >= NEEDS[self.permission] else Gets.FORBIDDEN


@dataclass(frozen=True)
class Platform:
    """Needs a platform role."""

    admin: bool

    def words(self) -> str:
        return "platform role `admin`" if self.admin else "platform role `admin` or `audit`"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        return Gets.IN if who is Who.PLATFORM or (who is Who.AUDIT and not self.admin) else Gets.FORBIDDEN


@dataclass(frozen=True)
class Owned:
    """Belongs to one user, about which no role says anything; the walk's things are the platform admin's."""

    what: str
    audited: Gets | None = Gets.IN
    """What an auditor gets; `None` is what everybody gets."""
    others: Gets = Gets.HIDDEN

    def words(self) -> str:
        seen = "; platform role `audit` may look" if self.audited is Gets.IN else ""
        return f"its owner and platform role `admin`: {self.what}{seen}"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        if who is Who.AUDIT and self.audited is not None:
            return self.audited
        return Gets.IN if who is Who.PLATFORM else self.others


@dataclass(frozen=True)
class Reached:
    """A variable set that reaches the workspace: who reads the workspace reads the set, and platform admins change it."""

    change: bool = False

    def words(self) -> str:
        if self.change:
            return "platform role `admin`"
        return "`read` on a workspace that the set reaches; the owner of its project; platform role `admin` or `audit`"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        if LEVELS[who] < Level.READ:
            return Gets.HIDDEN
        return Gets.IN if not self.change or who is Who.PLATFORM else Gets.FORBIDDEN


@dataclass(frozen=True)
class Pool(Reached):
    """An agent pool: who reads it sees what is in it, and platform admins change it. The walk's carries its label."""

    def words(self) -> str:
        return "platform role `admin`" if self.change else "`read` on the pool, by a role; platform role `admin` or `audit`"


@dataclass(frozen=True)
class Item(On):
    """Needs a permission on an item of the registry. The walk's carries its label, and its run is the platform admin's."""

    def words(self) -> str:
        engine = "; a run's engine, where those may who answer for the run" if self.engine else ""
        return f"`{NEEDS[self.permission].name.lower()}` on the item (`{self.permission}`){engine}"


@dataclass(frozen=True)
class NewName(Platform):
    """A new name in the registry. The walk's roles go by a label, which is no help there."""

    admin: bool = True

    def words(self) -> str:
        return "platform role `admin`; a role with the registry permission `admin` that allows the name"


@dataclass(frozen=True)
class Publisher(Reached):
    """For those whom an item names as its publishers: of the walk's, the platform admin who made it."""

    change: bool = True

    def words(self) -> str:
        return f"`write` on the item (`{Permission.REGISTRY_PUBLISH}`), by one of its publishers"


@dataclass(frozen=True)
class OtherPublisher(Publisher):
    """The same where even the platform admin who asks is another one than who made it."""

    def gets(self, who: Who) -> Gets:
        return Gets.FORBIDDEN if who is Who.PLATFORM else super().gets(who)


@dataclass(frozen=True)
class Listening:
    """For listeners, which hold nothing that others hold."""

    by: str

    def words(self) -> str:
        return f"a listener, {self.by}"

    def gets(self, who: Who) -> Gets:
        return Gets.UNKNOWN


@dataclass(frozen=True)
class Runner:
    """For the supervisor of one phase, and for that phase alone."""

    def words(self) -> str:
        return "the runner's supervisor of the phase, by its own token"

    def gets(self, who: Who) -> Gets:
        return Gets.IN if who is Who.SUPERVISOR else Gets.REFUSED


@dataclass(frozen=True)
class Actions:
    """Needs another permission for each action that the path can name."""

    permissions: Mapping[str, Permission]

    def words(self) -> str:
        return "; ".join(f"for `{action}` {On(permission).words()}" for action, permission in self.permissions.items())


@dataclass(frozen=True)
class Page:
    """A page for people: it asks a browser's session, never a token. `needs` is asked of who is signed in there."""

    needs: SignedIn | On | Owned | Reached | Actions

    def words(self) -> str:
        return f"a browser that is signed in; {self.needs.words()}"

    def gets(self, who: Who) -> Gets:
        """What a request without a session gets, whatever token it carries."""
        return Gets.UNKNOWN

    def shows(self, who: Who, action: str = "") -> Gets:
        """What this one's browser gets; `action` is that of the path, if `needs` asks for it."""
        if who not in LEVELS:
            return Gets.UNKNOWN
        needs = On(self.needs.permissions[action]) if isinstance(self.needs, Actions) else self.needs
        return needs.gets(who)


Needs = Open | SignedIn | On | Platform | Owned | Reached | Listening | Runner | Page


@dataclass(frozen=True)
class Row:
    """One route."""

    needs: Needs
    body: Any = None
    """What is sent, with the placeholders of `endpoints.World`; `None` takes what `endpoints.WRITING` sends."""
    query: Mapping[str, str] | None = None
    hidden: tuple[int, ...] = (404,)
    """What `Gets.HIDDEN` is here."""
    then: Mapping[str, str] = field(default_factory=dict)
    """What refuses those who pass the door of a page, as a pattern in the answer: by action, or under `""` for the only one."""


P = Permission
BY_NAME: Final = {"filter[organization][name]": "default", "filter[workspace][name]": "{name}"}
GONE: Final = "names what takes the place of something that this server has not"

_ROLE = wire.document("roles", name="never-made", workspace_permission="read", allow_labels={"walk": "never"})
_USER = wire.document("users", email="never-made@example.com")
_ASSIGNMENT = wire.document("role-assignments", provider_name="local", email="never-made@example.com", roles=[])
_PASSWORD = wire.document("users", current_password="x", password="y", password_confirmation="z")
_VAR = wire.document(
    "vars", {"workspace": {"type": "workspaces", "id": "{workspace}"}}, key="never_made_2", value="text", category="terraform"
)
_VARSET = wire.document("varsets", name="of {name}")
_POOL = wire.document("agent-pools", name="of-{name}")
_POOL_CHANGE = wire.document("agent-pools", service_account_name="runner")
_POOL_TOKEN = wire.document("authentication-tokens", description="text")
_JOIN = wire.document("listeners", name="never-made", csr="none", version="1")
_OF_A_MODULE: Final = "/api/v2/organizations/<org>/registry-modules/<namespace>/<name>/<provider>"
_MODULE = wire.document("registry-modules", name="of-{name}", provider="aws")
_MODULE_CHANGE = wire.document("registry-modules", labels={"walk": "yes"})
_VERSIONS = [wire.document("registry-module-versions", version=f"{number}.0.0") for number in (2, 3, 4)]
"""For the paths that make one: a number is given once."""
_DEPRECATION = wire.document("registry-module-versions", deprecation={"reason": "text"})
_MIRRORED: Final = SignedIn("what mirrors have is nobody's secret", engine=True)
_MIRRORED_PROVIDER: Final = "/v1/providers/<hostname>/<namespace>/<type_name>"
_OF_A_MIRRORED_PROVIDER: Final = ("index.json", "<version>.json", "versions", "<version>/download/<os>/<arch>")
_MIRRORED_MODULE: Final = "/v1/modules/<hostname>/<namespace>/<name>/<provider>"
_OF_A_MIRRORED_MODULE: Final = ("versions", "<version>/download")
_OF_A_PROVIDER: Final = tuple(f"/api/v2/organizations/<org>/registry-providers/{private}<namespace>/<name>" for private in ("", "private/"))
_GPG_KEYS: Final = "/api/registry/private/v2/gpg-keys"
_PROVIDER = wire.document("registry-providers", name="of-{name}")
_PROVIDER_CHANGE = wire.document("registry-providers", labels={"walk": "yes"})
_PLATFORM = wire.document("registry-provider-platforms", os="linux", arch="arm64")
_GPG_KEY = wire.document("gpg-keys", ascii_armor="none", providers=["{provider_name}"])
_OF_A_VERSION: Final = {
    "deprecate": P.REGISTRY_PUBLISH,
    "undeprecate": P.REGISTRY_PUBLISH,
    "revoke": P.REGISTRY_UPDATE,
    "unrevoke": P.REGISTRY_UPDATE,
    "delete": P.REGISTRY_UPDATE,
}
_WARM = wire.document("binary-cache-warmings", tool="packer", version="1.0.0", platforms=["linux_amd64"])
"""Of which there is none: the walk asks no upstream."""
_MIRROR_KEY = wire.document("mirror-keys", scope="registry.example.com/acme", fingerprint="0" * 40)
_OF_VARSET = wire.document("vars", key="never_made", value="text", category="terraform")

_LOGIN = {
    "client_id": "terraform-cli",
    "redirect_uri": "http://localhost:10000/login",
    "response_type": "code",
    "code_challenge_method": "S256",
    "code_challenge": "x" * 43,
    "state": "walk",
}


def _read(permission: Permission, *, engine: bool = False) -> Row:
    return Row(On(permission, engine))


TABLE: Final[dict[str, Row]] = {
    # -- open
    "GET /health": Row(Open("for probes")),
    "GET /ready": Row(Open("for probes")),
    "GET /metrics": Row(Open("for Prometheus; with the setting `metrics.token` whoever has that")),
    "GET /.well-known/terraform.json": Row(Open("service discovery")),
    "GET /api/v2/ping": Row(Open("terraform asks before it has a token")),
    "GET /api/v2/auth/providers": Row(Open("how to sign in")),
    "GET /api/v2/auth/providers/<name>/metadata": Row(Open("what another site must know to send people here")),
    "GET /api/v2/auth/authorize": Row(Open("signing in")),
    "GET /api/v2/auth/callback": Row(Open("signing in; the state and the browser's cookie are the right")),
    "POST /api/v2/auth/callback": Row(Open("signing in; the state and the browser's cookie are the right")),
    "POST /oauth/token": Row(Open("the code is the right")),
    "GET /c/<token>": Row(Open("the signed link is the right")),
    "PUT /c/<token>": Row(Open("the signed link is the right")),
    "PUT /api/v2/state-versions/<version_id>/content": Row(Open("the contract's: the id is the right while the version waits")),
    "PUT /api/v2/state-versions/<version_id>/json-content": Row(Open("the contract's: the id is the right while the version waits")),
    # -- everybody
    "GET /api/v2/account/details": Row(SignedIn("themselves")),
    "PATCH /api/v2/account/update": Row(SignedIn("themselves"), wire.document("users")),
    "PATCH /api/v2/account/password": Row(SignedIn("themselves"), _PASSWORD),
    "GET /api/v2/users/<user_id>": Row(SignedIn("names of users; the address is shown to the user, admins and auditors")),
    "GET /api/v2/organizations": Row(SignedIn("the one organization")),
    "GET /api/v2/organizations/<org>": Row(SignedIn("the one organization")),
    "GET /api/v2/organizations/<org>/entitlement-set": Row(SignedIn("what is switched on", engine=True)),
    "GET /api/v2/organizations/<org>/capacity": Row(SignedIn("two numbers")),
    "GET /api/v2/organizations/<org>/workspaces": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/projects": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/runs": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/runs/queue": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/events": Row(SignedIn("what happens to those they may read")),
    "GET /api/v2/organizations/<org>/tags": Row(SignedIn("those of workspaces they may read")),
    "POST /api/v2/organizations/<org>/workspaces": Row(SignedIn("makes one of their own; the settings can keep it for roles")),
    "POST /api/v2/organizations/<org>/projects": Row(SignedIn("makes one of their own")),
    "GET /api/v2/auth/sessions": Row(SignedIn("their own")),
    "DELETE /api/v2/auth/sessions": Row(SignedIn("their own")),
    "POST /api/v2/auth/logout": Row(SignedIn("the session that is shown")),
    "GET /api/v2/authentication-tokens": Row(SignedIn("their own")),
    "POST /api/v2/authentication-tokens": Row(SignedIn("makes one of their own")),
    "POST /api/v2/runs": Row(On(P.RUN_PLAN), hidden=(404, 422)),
    # -- what other servers have and this one has not
    **{
        f"{method} /api/v2/{path}": Row(SignedIn(GONE), body={})
        for path, methods in {
            "organizations/<org>/authentication-token": ("GET", "POST", "DELETE"),
            "organizations/<org>/team-tokens": ("GET", "POST", "DELETE"),
            "teams/<team_id>/authentication-token": ("GET", "POST", "DELETE"),
            "teams/<team_id>/authentication-tokens": ("GET", "POST", "DELETE"),
        }.items()
        for method in methods
    },
    # -- what is a user's own
    "GET /api/v2/authentication-tokens/<token_id>": Row(Owned("a token")),
    "DELETE /api/v2/authentication-tokens/<token_id>": Row(Owned("a token", Gets.FORBIDDEN)),
    "DELETE /api/v2/auth/sessions/<session_id>": Row(Owned("a session", None)),
    "GET /api/v2/users/<user_id>/authentication-tokens": Row(SignedIn("their own; of others an empty list")),
    "POST /api/v2/users/<user_id>/authentication-tokens": Row(
        Owned("tokens for oneself, or by an admin for a service account", None, Gets.FORBIDDEN)
    ),
    "GET /api/v2/projects/<project_id>": Row(Owned("a project; who sees a workspace in it sees it too")),
    "PATCH /api/v2/projects/<project_id>": Row(Owned("a project", Gets.FORBIDDEN)),
    "DELETE /api/v2/projects/<project_id>": Row(Owned("a project", Gets.FORBIDDEN)),
    "POST /api/v2/projects/<project_id>/relationships/workspaces": Row(Owned("a project", Gets.FORBIDDEN)),
    # -- a workspace
    **{
        f"GET /api/v2/{path}": _read(P.WORKSPACE_READ, engine=True)
        for path in ("organizations/<org>/workspaces/<name>", "workspaces/<workspace_id>")
    },
    **{
        f"GET /api/v2/{path}": _read(P.WORKSPACE_READ)
        for path in (
            "workspaces/<workspace_id>/tag-bindings",
            "workspaces/<workspace_id>/effective-tag-bindings",
            "workspaces/<workspace_id>/relationships/tags",
            "workspaces/<workspace_id>/relationships/tag-bindings",
            "workspaces/<workspace_id>/relationships/remote-state-consumers",
        )
    },
    **{
        f"{method} /api/v2/{path}": Row(On(P.WORKSPACE_UPDATE))
        for path, methods in {
            "organizations/<org>/workspaces/<name>": ("PATCH",),
            "workspaces/<workspace_id>": ("PATCH",),
            "workspaces/<workspace_id>/tag-bindings": ("PATCH",),
            "workspaces/<workspace_id>/relationships/tag-bindings": ("POST", "PATCH"),
            "workspaces/<workspace_id>/relationships/tags": ("POST", "DELETE"),
            "workspaces/<workspace_id>/relationships/remote-state-consumers": ("POST", "PATCH", "DELETE"),
        }.items()
        for method in methods
    },
    **{
        f"{method} /api/v2/{path}": Row(On(P.WORKSPACE_DELETE))
        for path, method in (
            ("organizations/<org>/workspaces/<name>", "DELETE"),
            ("workspaces/<workspace_id>", "DELETE"),
            ("organizations/<org>/workspaces/<name>/actions/safe-delete", "POST"),
            ("workspaces/<workspace_id>/actions/safe-delete", "POST"),
        )
    },
    "POST /api/v2/workspaces/<workspace_id>/actions/lock": Row(On(P.WORKSPACE_LOCK)),
    "POST /api/v2/workspaces/<workspace_id>/actions/unlock": Row(On(P.WORKSPACE_LOCK)),
    "POST /api/v2/workspaces/<workspace_id>/actions/force-unlock": Row(On(P.WORKSPACE_FORCE_UNLOCK)),
    "POST /api/v2/workspaces/<workspace_id>/conditions/<code>/actions/acknowledge": Row(On(P.WORKSPACE_UPDATE)),
    # -- its variables
    "GET /api/v2/workspaces/<workspace_id>/vars": _read(P.VARIABLE_READ),
    "GET /api/v2/workspaces/<workspace_id>/all-vars": _read(P.VARIABLE_READ),
    "GET /api/v2/workspaces/<workspace_id>/vars/<variable_id>": _read(P.VARIABLE_READ),
    "GET /api/v2/vars": Row(On(P.VARIABLE_READ), query=BY_NAME),
    "POST /api/v2/vars": Row(On(P.VARIABLE_WRITE), _VAR, hidden=(404, 422)),
    "POST /api/v2/workspaces/<workspace_id>/vars": Row(On(P.VARIABLE_WRITE)),
    "PATCH /api/v2/workspaces/<workspace_id>/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    "DELETE /api/v2/workspaces/<workspace_id>/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    "PATCH /api/v2/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    "DELETE /api/v2/vars/<variable_id>": Row(On(P.VARIABLE_WRITE)),
    # -- variable sets
    "GET /api/v2/organizations/<org>/varsets": Row(SignedIn("those that reach a workspace they may read")),
    "POST /api/v2/organizations/<org>/varsets": Row(Platform(admin=True), _VARSET),
    "GET /api/v2/workspaces/<workspace_id>/varsets": _read(P.VARIABLE_READ),
    "GET /api/v2/projects/<project_id>/varsets": Row(Owned("a project; who sees a workspace in it sees it too")),
    "GET /api/v2/varsets/<varset_id>": Row(Reached()),
    "PATCH /api/v2/varsets/<varset_id>": Row(Reached(change=True), wire.document("varsets", description="text")),
    "PUT /api/v2/varsets/<varset_id>": Row(Reached(change=True), wire.document("varsets", description="text")),
    "DELETE /api/v2/varsets/<varset_id>": Row(Reached(change=True)),
    "GET /api/v2/varsets/<varset_id>/relationships/vars": Row(Reached()),
    "POST /api/v2/varsets/<varset_id>/relationships/vars": Row(Reached(change=True), _OF_VARSET),
    "GET /api/v2/varsets/<varset_id>/relationships/vars/<variable_id>": Row(Reached()),
    "PATCH /api/v2/varsets/<varset_id>/relationships/vars/<variable_id>": Row(Reached(change=True), wire.document("vars", value="text")),
    "DELETE /api/v2/varsets/<varset_id>/relationships/vars/<variable_id>": Row(Reached(change=True)),
    **{
        f"{method} /api/v2/varsets/<varset_id>/relationships/{kind}s": Row(
            Reached(change=True), {"data": [wire.ref(f"{kind}s", f"{{{kind}}}")]}
        )
        for kind in ("workspace", "project")
        for method in ("POST", "PATCH", "DELETE")
    },
    # -- agent pools
    "GET /api/v2/organizations/<org>/agent-pools": Row(SignedIn("those they may read")),
    "POST /api/v2/organizations/<org>/agent-pools": Row(Platform(admin=True), _POOL),
    "PATCH /api/v2/agent-pools/<pool_id>": Row(Pool(change=True), _POOL_CHANGE),
    "DELETE /api/v2/agent-pools/<pool_id>": Row(Pool(change=True)),
    "POST /api/v2/agent-pools/<pool_id>/authentication-tokens": Row(Pool(change=True), _POOL_TOKEN),
    "DELETE /api/v2/agents/<listener_id>": Row(Pool(change=True)),
    **{f"POST /api/v2/listeners/<listener_id>/actions/{action}": Row(Pool(change=True)) for action in ("drain", "undrain", "revoke")},
    **{
        f"GET /api/v2/{path}": Row(Pool())
        for path in (
            "agent-pools/<pool_id>",
            "agent-pools/<pool_id>/authentication-tokens",
            "agent-pools/<pool_id>/listeners",
            "agent-pools/<pool_id>/agents",
            "listeners/<listener_id>",
            "agents/<listener_id>",
        )
    },
    "POST /api/v2/agent-pools/<pool_id>/listeners/join": Row(Listening("by a join token of the pool"), _JOIN),
    "POST /api/v2/listeners/<listener_id>/heartbeat": Row(Listening("by its own signature"), {}),
    "POST /api/v2/listeners/<listener_id>/renew": Row(Listening("by its own signature, with an expired certificate too"), {}),
    "GET /api/v2/listeners/<listener_id>/runs/next": Row(Listening("by its own signature")),
    "PATCH /api/v2/listeners/<listener_id>/runs/<run_id>": Row(Listening("by its own signature, about what it was given"), {}),
    # -- mirrors of others' registries
    **{f"GET {_MIRRORED_PROVIDER}/{path}": Row(_MIRRORED) for path in _OF_A_MIRRORED_PROVIDER},
    **{f"GET {_MIRRORED_MODULE}/{path}": Row(_MIRRORED) for path in _OF_A_MIRRORED_MODULE},
    # -- the registry
    "GET /api/v2/organizations/<org>/registry-modules": Row(SignedIn("those they may read")),
    "POST /api/v2/organizations/<org>/registry-modules": Row(NewName(), _MODULE),
    "GET /api/v2/registry/modules/<namespace>/<name>/<provider>/versions": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/v2/registry/modules/<namespace>/<name>/<provider>/<version>/download": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/registry/v1/modules/<namespace>/<name>/<provider>": Row(Item(P.REGISTRY_READ)),
    "GET /api/registry/v1/modules/<namespace>/<name>/<provider>/<version>": Row(Item(P.REGISTRY_READ)),
    "GET /api/v2/registry-modules/<module_id>": Row(Item(P.REGISTRY_READ)),
    "PATCH /api/v2/registry-modules/<module_id>": Row(Item(P.REGISTRY_UPDATE), _MODULE_CHANGE),
    "GET /api/v2/registry-modules/<module_id>/tag-bindings": Row(Item(P.REGISTRY_READ)),
    "GET /api/v2/registry-modules/<module_id>/versions": Row(Item(P.REGISTRY_READ)),
    "POST /api/v2/registry-modules/<org>/<name>/<provider>/versions": Row(Item(P.REGISTRY_PUBLISH), _VERSIONS[0]),
    **{
        f"POST /api/v2/registry-modules/actions/delete/<org>/<name>{rest}": Row(Item(P.REGISTRY_UPDATE))
        for rest in ("", "/<provider>", "/<provider>/<version>")
    },
    "DELETE /api/v2/organizations/<org>/registry-modules/private/<namespace>/<name>": Row(Item(P.REGISTRY_UPDATE)),
    "GET /api/v2/organizations/<org>/registry-modules/private/<namespace>/<name>/<provider>/version": Row(
        Item(P.REGISTRY_READ), query={"module_version": "1.0.0"}
    ),
    **{
        f"{method} {base}{rest}": row
        for base in (_OF_A_MODULE, _OF_A_MODULE.replace("registry-modules", "registry-modules/private"))
        for (method, rest), row in {
            ("GET", ""): Row(Item(P.REGISTRY_READ)),
            ("PATCH", ""): Row(Item(P.REGISTRY_UPDATE), _MODULE_CHANGE),
            ("DELETE", ""): Row(Item(P.REGISTRY_UPDATE)),
            ("GET", "/versions"): Row(Item(P.REGISTRY_READ)),
            ("POST", "/versions"): Row(Item(P.REGISTRY_PUBLISH), _VERSIONS[1 if "/private/" in base else 2]),
            ("GET", "/<version>"): Row(Item(P.REGISTRY_READ)),
            ("PATCH", "/<version>"): Row(Item(P.REGISTRY_PUBLISH), _DEPRECATION),
            ("DELETE", "/<version>"): Row(Item(P.REGISTRY_UPDATE)),
            ("POST", "/<version>/actions/release"): Row(Publisher()),
            ("GET", "/consumers"): Row(Item(P.REGISTRY_READ)),
            ("GET", "/downloads"): Row(Item(P.REGISTRY_UPDATE)),
        }.items()
    },
    "GET /api/v2/organizations/<org>/registry-providers": Row(SignedIn("those they may read")),
    "POST /api/v2/organizations/<org>/registry-providers": Row(NewName(), _PROVIDER),
    "GET /api/v2/registry/providers/<namespace>/<name>/versions": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/v2/registry/providers/<namespace>/<name>/<version>/download/<os>/<arch>": Row(Item(P.REGISTRY_READ, engine=True)),
    "GET /api/v2/registry-providers/<provider_id>": Row(Item(P.REGISTRY_READ)),
    "GET /api/v2/registry-providers/<provider_id>/tag-bindings": Row(Item(P.REGISTRY_READ)),
    **{
        f"{method} {base}{rest}": row
        for base, number in zip(_OF_A_PROVIDER, ("2.0.0", "3.0.0"), strict=True)
        for (method, rest), row in {
            ("GET", ""): Row(Item(P.REGISTRY_READ)),
            ("PATCH", ""): Row(Item(P.REGISTRY_UPDATE), _PROVIDER_CHANGE),
            ("DELETE", ""): Row(Item(P.REGISTRY_UPDATE)),
            ("GET", "/versions"): Row(Item(P.REGISTRY_READ)),
            ("POST", "/versions"): Row(Item(P.REGISTRY_PUBLISH), wire.document("registry-provider-versions", version=number)),
            ("GET", "/versions/<version>"): Row(Item(P.REGISTRY_READ)),
            ("PATCH", "/versions/<version>"): Row(Item(P.REGISTRY_PUBLISH), _DEPRECATION),
            ("DELETE", "/versions/<version>"): Row(Item(P.REGISTRY_UPDATE)),
            ("POST", "/versions/<version>/actions/publish"): Row(Item(P.REGISTRY_PUBLISH)),
            ("POST", "/versions/<version>/actions/release"): Row(Publisher()),
            ("GET", "/versions/<version>/platforms"): Row(Item(P.REGISTRY_READ)),
            ("POST", "/versions/<version>/platforms"): Row(Item(P.REGISTRY_PUBLISH), _PLATFORM),
            ("GET", "/versions/<version>/platforms/<os>/<arch>"): Row(Item(P.REGISTRY_READ)),
            ("DELETE", "/versions/<version>/platforms/<os>/<arch>"): Row(Item(P.REGISTRY_PUBLISH)),
            ("GET", "/consumers"): Row(Item(P.REGISTRY_READ)),
            ("GET", "/downloads"): Row(Item(P.REGISTRY_UPDATE)),
        }.items()
    },
    f"GET {_GPG_KEYS}": Row(SignedIn("those of whole namespaces, and of providers that they may read")),
    f"POST {_GPG_KEYS}": Row(Item(P.REGISTRY_UPDATE), _GPG_KEY, hidden=(404, 422)),
    f"GET {_GPG_KEYS}/<namespace>/<key_id>": Row(Item(P.REGISTRY_READ)),
    f"PATCH {_GPG_KEYS}/<namespace>/<key_id>": Row(Item(P.REGISTRY_UPDATE), wire.document("gpg-keys", namespace="default")),
    f"DELETE {_GPG_KEYS}/<namespace>/<key_id>": Row(Item(P.REGISTRY_UPDATE)),
    # -- its configurations
    "GET /api/v2/workspaces/<workspace_id>/configuration-versions": _read(P.CONFIGURATION_READ),
    "GET /api/v2/configuration-versions/<version_id>": _read(P.CONFIGURATION_READ),
    "GET /api/v2/configuration-versions/<version_id>/ingress-attributes": _read(P.CONFIGURATION_READ),
    "GET /api/v2/configuration-versions/<version_id>/download": _read(P.CONFIGURATION_DOWNLOAD),
    "POST /api/v2/workspaces/<workspace_id>/configuration-versions": Row(On(P.CONFIGURATION_UPLOAD_SPECULATIVE)),
    "POST /api/v2/configuration-versions/<version_id>/actions/archive": Row(On(P.CONFIGURATION_UPLOAD)),
    # -- its states
    "GET /api/v2/workspaces/<workspace_id>/state-versions": _read(P.STATE_READ),
    "GET /api/v2/state-versions": Row(On(P.STATE_READ), query=BY_NAME),
    "GET /api/v2/workspaces/<workspace_id>/current-state-version": _read(P.STATE_READ, engine=True),
    "GET /api/v2/workspaces/<workspace_id>/current-state-version-outputs": _read(P.STATE_READ, engine=True),
    "GET /api/v2/workspaces/<workspace_id>/resources": _read(P.STATE_READ),
    "GET /api/v2/state-versions/<version_id>": _read(P.STATE_READ, engine=True),
    "GET /api/v2/state-versions/<version_id>/outputs": _read(P.STATE_READ, engine=True),
    "GET /api/v2/state-versions/<version_id>/download": _read(P.STATE_DOWNLOAD, engine=True),
    "GET /api/v2/state-version-outputs/<output_id>": _read(P.OUTPUT_READ_SENSITIVE, engine=True),
    "POST /api/v2/workspaces/<workspace_id>/state-versions": Row(On(P.STATE_WRITE)),
    "PATCH /api/v2/workspaces/<workspace_id>/state-versions": Row(On(P.STATE_WRITE)),
    "POST /api/v2/state-versions/<version_id>/actions/promote": Row(On(P.WORKSPACE_UPDATE)),
    # -- its runs
    "GET /api/v2/workspaces/<workspace_id>/runs": _read(P.RUN_READ),
    "GET /api/v2/runs": Row(SignedIn("those they may read")),
    "GET /api/v2/runs/<run_id>": _read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/comments": _read(P.RUN_READ),
    "POST /api/v2/runs/<run_id>/comments": Row(On(P.RUN_COMMENT)),
    "GET /api/v2/comments/<comment_id>": _read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/configuration-version": _read(P.CONFIGURATION_READ),
    "GET /api/v2/runs/<run_id>/configuration-version/download": _read(P.CONFIGURATION_DOWNLOAD),
    "GET /api/v2/runs/<run_id>/run-events": _read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/events": Row(On(P.RUN_READ)),
    "GET /api/v2/workspaces/<workspace_id>/events": Row(On(P.WORKSPACE_READ)),
    "GET /api/v2/plans/<plan_id>/log-stream": Row(On(P.RUN_READ)),
    "GET /api/v2/applies/<apply_id>/log-stream": Row(On(P.RUN_READ)),
    "GET /api/v2/run-events/<event_id>": _read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/plan": _read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/apply": _read(P.RUN_READ),
    "GET /api/v2/plans/<plan_id>": _read(P.RUN_READ),
    "GET /api/v2/applies/<apply_id>": _read(P.RUN_READ),
    "GET /api/v2/applies/<apply_id>/errored-state": _read(P.STATE_DOWNLOAD),
    "GET /api/v2/plans/<plan_id>/json-output-redacted": _read(P.RUN_READ),
    "GET /api/v2/plans/<plan_id>/json-schema": _read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/plan/json-schema": _read(P.RUN_READ),
    "GET /api/v2/plans/<plan_id>/json-output": _read(P.PLAN_JSON_READ),
    "GET /api/v2/runs/<run_id>/plan/json-output": _read(P.PLAN_JSON_READ),
    "POST /api/v2/runs/<run_id>/actions/apply": Row(On(P.RUN_APPLY)),
    "POST /api/v2/runs/<run_id>/actions/confirm": Row(On(P.RUN_APPLY)),
    "POST /api/v2/runs/<run_id>/actions/discard": Row(On(P.RUN_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/cancel": Row(On(P.RUN_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/force-cancel": Row(On(P.RUN_FORCE_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/force-execute": Row(On(P.RUN_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/retry": Row(On(P.RUN_PLAN)),
    # -- the installation
    "GET /api/v2/roles": Row(Platform(admin=False)),
    "GET /api/v2/roles/<name>": Row(Platform(admin=False)),
    "POST /api/v2/roles": Row(Platform(admin=True), _ROLE),
    "PATCH /api/v2/roles/<name>": Row(Platform(admin=True), wire.document("roles", description="text")),
    "DELETE /api/v2/roles/<name>": Row(Platform(admin=True)),
    "GET /api/v2/role-assignments": Row(Platform(admin=False)),
    "PUT /api/v2/role-assignments": Row(Platform(admin=True), _ASSIGNMENT),
    "DELETE /api/v2/role-assignments/<provider>/<email>/<role>": Row(Platform(admin=True)),
    "GET /api/v2/binary-cache/<tool>/<version>/<os>/<arch>": Row(SignedIn("programs that their publishers give to everybody", engine=True)),
    "GET /api/v2/admin/binary-cache": Row(Platform(admin=False)),
    "POST /api/v2/admin/binary-cache/warm": Row(Platform(admin=True), _WARM),
    "GET /api/v2/admin/binary-cache/warm/<warming_id>": Row(Platform(admin=False)),
    "DELETE /api/v2/admin/binary-cache/<tool>/<version>/<os>/<arch>": Row(Platform(admin=True)),
    "GET /api/v2/admin/mirror-keys": Row(Platform(admin=False)),
    "GET /api/v2/admin/mirror-keys/offered": Row(Platform(admin=True), query={"filter[scope]": "registry.example.com/acme"}),
    "POST /api/v2/admin/mirror-keys": Row(Platform(admin=True), _MIRROR_KEY),
    "DELETE /api/v2/admin/mirror-keys/<key_id>": Row(Platform(admin=True)),
    "GET /api/v2/admin/audit-log": Row(Platform(admin=False)),
    "GET /api/v2/admin/users": Row(Platform(admin=False)),
    "GET /api/v2/admin/users/<user_id>": Row(Platform(admin=False)),
    "GET /api/v2/admin/users/<user_id>/sessions": Row(Platform(admin=False)),
    "POST /api/v2/admin/users": Row(Platform(admin=True), _USER),
    "PATCH /api/v2/admin/users/<user_id>": Row(Platform(admin=True), wire.document("users")),
    "DELETE /api/v2/admin/users/<user_id>": Row(Platform(admin=True)),
    "DELETE /api/v2/admin/users/<user_id>/sessions": Row(Platform(admin=True)),
    **{
        f"POST /api/v2/admin/users/<user_id>/actions/{action}": Row(Platform(admin=True), wire.document("users"))
        for action in ("suspend", "unsuspend", "grant-admin", "grant_admin", "revoke-admin", "revoke_admin", "reset-password")
    },
    # -- runners
    **{
        f"{method} /api/runner/v1/phases/<phase_id>/{name}": Row(Runner(), body={})
        for name, methods in {
            "claim": ("POST",),
            "engine": ("GET",),
            "started": ("POST",),
            "renew": ("POST",),
            "report": ("POST",),
            "configuration": ("GET",),
            "state": ("GET", "PUT"),
            "plan-file": ("GET",),
            "log": ("PUT",),
            "<artifact>": ("PUT",),
        }.items()
        for method in methods
    },
    # -- pages
    "GET /": Row(Open("leads to `/app`")),
    "GET /app/<org>/workspaces": Row(Open("leads to `/app`")),
    "GET /app/<org>/workspaces/<workspace>": Row(Page(On(P.WORKSPACE_READ))),
    "GET /app/<org>/workspaces/<workspace>/stream": Row(Page(On(P.WORKSPACE_READ))),
    "POST /app/<org>/workspaces/<workspace>/actions/<action>": Row(
        Page(
            Actions(
                {
                    "lock": P.WORKSPACE_LOCK,
                    "unlock": P.WORKSPACE_LOCK,
                    "force-unlock": P.WORKSPACE_FORCE_UNLOCK,
                    "acknowledge": P.WORKSPACE_UPDATE,
                    "promote": P.WORKSPACE_UPDATE,
                    "roll-back": P.STATE_WRITE,
                },
            )
        ),
        body={"code": "state-diverged", "version": "{state}"},
        then={
            "lock": "is locked by",
            "unlock": "is locked by",
            "acknowledge": "has no condition",
            "promote": "is locked by",
            "roll-back": "is locked by",
        },
    ),
    "GET /app": Row(Page(SignedIn("the workspaces they may read"))),
    **{
        f"GET /app/<org>/{path}": Row(Page(On(P.RUN_READ)))
        for path in (
            "workspaces/<workspace>/runs/<run_id>",
            "<workspace>/runs/<run_id>",
            "<workspace>/runs/<run_id>/logs/<phase_id>",
            "<workspace>/runs/<run_id>/logs/<phase_id>/raw",
            "<workspace>/runs/<run_id>/progress",
        )
    },
    "GET /app/<org>/<workspace>/runs/<run_id>/stream": Row(Page(On(P.RUN_READ))),
    "GET /app/stream": Row(Page(SignedIn("what happens to the workspaces they may read"))),
    "POST /app/<org>/<workspace>/runs/<run_id>/actions/<action>": Row(
        Page(
            Actions(
                {
                    "confirm": P.RUN_APPLY,
                    "discard": P.RUN_CANCEL,
                    "cancel": P.RUN_CANCEL,
                    "force-cancel": P.RUN_FORCE_CANCEL,
                    "force-execute": P.RUN_CANCEL,
                    "retry": P.RUN_PLAN,
                    "comment": P.RUN_COMMENT,
                },
            )
        ),
        body={"comment": "text"},
        then={
            "confirm": "is pending",
            "force-cancel": "can be force-cancelled a minute after",
            "force-execute": "is locked by",
            "retry": "only a run that has ended",
        },
    ),
    "GET /app/<org>/registry": Row(Open("leads to the modules")),
    **{f"GET /app/<org>/registry/{kind}": Row(Page(SignedIn("those they may read"))) for kind in ("modules", "providers", "keys")},
    **{
        f"{method} /app/<org>/registry/{path}{rest}": row
        for path, address in (
            ("modules/<namespace>/<name>/<provider>", "default/{module_name}/aws"),
            ("providers/<namespace>/<name>", "default/{provider_name}"),
        )
        for (method, rest), row in {
            ("GET", ""): Row(Page(Item(P.REGISTRY_READ))),
            ("GET", "/<version>"): Row(Page(Item(P.REGISTRY_READ))),
            ("POST", "/<version>/actions/<action>"): Row(Page(Actions(_OF_A_VERSION)), body={"reason": "text", "confirm": "1.0.0"}),
            ("POST", "/<version>/release"): Row(Page(OtherPublisher()), body={}),
            ("POST", "/actions/delete"): Row(Page(Item(P.REGISTRY_UPDATE)), body={"confirm": address}),
        }.items()
    },
    "POST /app/<org>/registry/modules/<namespace>/<name>/<provider>/<version>/usage": Row(
        Page(Item(P.REGISTRY_READ)), body={"label": "walk"}
    ),
    "GET /app/settings/account": Row(Page(SignedIn("themselves"))),
    "POST /app/settings/account/name": Row(Page(SignedIn("themselves")), body={"username": "{email}"}),
    "POST /app/settings/account/password": Row(
        Page(SignedIn("themselves")),
        body={"current_password": "x", "password": "a quiet walnut drawer", "password_confirmation": "a quiet walnut drawer"},
        then={"": "current_password is wrong"},
    ),
    "POST /app/settings/account/sessions/<session_id>/revoke": Row(Page(Owned("a session", None)), body={}),
    "POST /app/settings/account/sessions/revoke-others": Row(Page(SignedIn("their own")), body={}),
    "GET /app/settings/tokens": Row(Page(SignedIn("their own"))),
    "POST /app/settings/tokens": Row(Page(SignedIn("makes one of their own")), body={"description": "of the walk", "days": "1"}),
    "POST /app/settings/tokens/<token_id>/revoke": Row(Page(Owned("a token", Gets.FORBIDDEN)), body={}),
    "POST /app/sign-out": Row(Page(SignedIn("the session that is shown")), body={}),
    "GET /oauth/authorize": Row(Page(SignedIn("asks whether terraform shall get a token of theirs")), query=_LOGIN),
    "POST /oauth/authorize": Row(Page(SignedIn("gives terraform a token of theirs")), body={**_LOGIN, "decision": "allow"}),
    "GET /app/sign-in": Row(Open("the page of those who are not signed in")),
    "POST /app/sign-in": Row(Open("the page of those who are not signed in")),
    "GET /app/static/<name>": Row(Open("styles and scripts of the pages")),
}
"""Every route of the application. One without a row fails the build."""

_STOP = "this phase is not yours any more"
_LOCKED = "is locked"
_PHASE = "/api/runner/v1/phases/<phase_id>"

LATER: Final[dict[str, str]] = {
    f"GET {_PHASE}/configuration": _STOP,
    f"GET {_PHASE}/engine": _STOP,
    f"GET {_PHASE}/plan-file": _STOP,
    f"GET {_PHASE}/state": _STOP,
    f"POST {_PHASE}/renew": _STOP,
    f"PUT {_PHASE}/<artifact>": _STOP,
    f"POST {_PHASE}/claim": "runner is required",
    f"POST {_PHASE}/report": "status is required",
    f"POST {_PHASE}/started": "tool is required",
    f"PUT {_PHASE}/log": "offset must be a number",
    f"PUT {_PHASE}/state": "serial must be a number",
    "GET /api/v2/binary-cache/<tool>/<version>/<os>/<arch>": "there is no engine 'packer'",
    "POST /api/v2/admin/binary-cache/warm": "there is no engine 'packer'",
    "GET /api/v2/admin/binary-cache/warm/<warming_id>": "there is no warming",
    "DELETE /api/v2/admin/binary-cache/<tool>/<version>/<os>/<arch>": "there is no engine 'packer'",
    "GET /api/v2/admin/mirror-keys/offered": "nothing of registry.example.com/acme was ever asked for",
    "POST /api/v2/admin/mirror-keys": "nothing of registry.example.com/acme was ever asked for",
    "DELETE /api/v2/admin/mirror-keys/<key_id>": "there is no key",
    **{f"GET {_MIRRORED_PROVIDER}/{path}": "registry.invalid is not mirrored here" for path in _OF_A_MIRRORED_PROVIDER},
    **{f"GET {_MIRRORED_MODULE}/{path}": "registry.invalid is not mirrored here" for path in _OF_A_MIRRORED_MODULE},
    "GET /api/v2/auth/callback": "begun in another browser or too long ago",
    "POST /api/v2/auth/callback": "begun in another browser or too long ago",
    "POST /api/v2/auth/logout": "you show an API token, not a session",
    "GET /api/v2/auth/providers/<name>/metadata": "choose how to sign in",
    "POST /oauth/token": "send application/x-www-form-urlencoded",
    "GET /c/<token>": "nothing at this address",
    "PUT /c/<token>": "nothing at this address",
    "GET /app/static/<name>": "there is no such file",
    "POST /app/sign-in": "this form did not come from a page of",
    "PATCH /api/v2/account/password": "password_confirmation is not the same",
    "DELETE /api/v2/agent-pools/<pool_id>": "has listeners that count",
    "DELETE /api/v2/agents/<listener_id>": "is idle",
    "POST /api/v2/configuration-versions/<version_id>/actions/archive": "because it is current",
    "POST /api/v2/organizations/<org>/workspaces/<name>/actions/safe-delete": _LOCKED,
    "POST /api/v2/workspaces/<workspace_id>/actions/safe-delete": _LOCKED,
    "POST /api/v2/workspaces/<workspace_id>/actions/lock": _LOCKED,
    "POST /api/v2/workspaces/<workspace_id>/state-versions": "is locked|hash does not match the one known",
    f"POST {_OF_A_MODULE}/<version>/actions/release": "is published",
    f"POST {_OF_A_MODULE.replace('registry-modules', 'registry-modules/private')}/<version>/actions/release": "is published",
    **{
        f"{method} {base}/versions/<version>{rest}": "is published"
        for base in _OF_A_PROVIDER
        for method, rest in (
            ("POST", "/actions/publish"),
            ("POST", "/actions/release"),
            ("POST", "/platforms"),
            ("DELETE", "/platforms/<os>/<arch>"),
        )
    },
    f"POST {_GPG_KEYS}": "this key is refused",
    f"DELETE {_GPG_KEYS}/<namespace>/<key_id>": "signs version 1.0.0",
    "POST /api/v2/runs/<run_id>/actions/apply": "the run is pending",
    "POST /api/v2/runs/<run_id>/actions/confirm": "the run is pending",
    "POST /api/v2/runs/<run_id>/actions/force-cancel": "can be force-cancelled a minute after",
    "POST /api/v2/runs/<run_id>/actions/force-execute": _LOCKED,
    "POST /api/v2/runs/<run_id>/actions/retry": "the run is pending",
    "POST /api/v2/workspaces/<workspace_id>/conditions/<code>/actions/acknowledge": "has no condition state-diverged",
    "POST /api/v2/state-versions/<version_id>/actions/promote": "is locked by|only a state that was rescued",
    "GET /api/v2/applies/<apply_id>/errored-state": "it did not fail, or it left no state",
    "PUT /api/v2/state-versions/<version_id>/content": "has its bytes already",
    "PUT /api/v2/state-versions/<version_id>/json-content": "no upload is waited for here",
    **{route: "" for route, row in TABLE.items() if isinstance(row.needs, SignedIn) and row.needs.about == GONE},
}
"""What everybody is told, as a pattern, who passes a door behind which the walk's things are in no state to go on.

Behind every other door somebody succeeds.
"""
