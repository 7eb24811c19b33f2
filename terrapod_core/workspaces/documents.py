"""What clients may send about a workspace, and what of it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Ref, wire_name
from terrapod_core.projects.execution import ExecutionMode, Said, said
from terrapod_core.runner.versions import Wanted
from terrapod_core.workspaces.models import ForkPullRequests, UntrustedPlans

MAX_DESCRIPTION: Final = 4096
MAX_PATH: Final = 1024
MAX_TRIGGERS: Final = 100
MAX_SOURCE: Final = 2048
MAX_VERSION: Final = 200

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,90}")
CPU: Final = re.compile(r"\d{1,6}(\.\d{1,3})?|\d{1,9}m")
MEMORY: Final = re.compile(r"\d{1,15}(\.\d{1,3})?([kKMGT]i?)?")


class SettingOverwrites(msgspec.Struct, kw_only=True):
    """Which settings a workspace has of its own; `False` takes its project's."""

    execution_mode: bool | UnsetType | None = UNSET
    agent_pool: bool | UnsetType | None = UNSET


class UpdateWorkspace(msgspec.Struct, kw_only=True):
    """What may be sent; what is absent stays as it is. `source` is not among it: it says through what door the workspace came."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    labels: dict[str, str | None] | UnsetType | None = UNSET
    execution_mode: str | UnsetType | None = UNSET
    operations: bool | UnsetType | None = UNSET
    setting_overwrites: SettingOverwrites | UnsetType | None = UNSET
    agent_pool_id: str | UnsetType | None = UNSET
    execution_backend: str | UnsetType | None = UNSET
    terraform_version: str | UnsetType | None = UNSET
    working_directory: str | UnsetType | None = UNSET
    vcs_working_directory: str | UnsetType | None = UNSET
    auto_apply: bool | UnsetType | None = UNSET
    auto_apply_run_trigger: bool | UnsetType | None = UNSET
    allow_destroy_plan: bool | UnsetType | None = UNSET
    queue_all_runs: bool | UnsetType | None = UNSET
    speculative_enabled: bool | UnsetType | None = UNSET
    file_triggers_enabled: bool | UnsetType | None = UNSET
    global_remote_state: bool | UnsetType | None = UNSET
    untrusted_plans: str | UnsetType | None = UNSET
    structured_run_output_enabled: bool | UnsetType | None = UNSET
    vendored_providers: bool | UnsetType | None = UNSET
    resource_cpu: str | UnsetType | None = UNSET
    resource_memory: str | UnsetType | None = UNSET
    source_name: str | UnsetType | None = UNSET
    source_url: str | UnsetType | None = UNSET

    admitted: bool | UnsetType | None = UNSET
    force: bool | UnsetType | None = UNSET
    """Change labels though the one who does it loses rights by that."""

    project: Ref | UnsetType | None = UNSET
    owner: Ref | UnsetType | None = UNSET
    agent_pool: Ref | UnsetType | None = UNSET
    tag_bindings: list[Ref] | UnsetType = UNSET

    vcs_repo: Any = UNSET
    vcs_repo_url: str | UnsetType | None = UNSET
    vcs_branch: str | UnsetType | None = UNSET
    vcs_connection: Ref | UnsetType | None = UNSET
    vcs_sparse_fetch: bool | UnsetType | None = UNSET
    fork_pull_requests: str | UnsetType | None = UNSET
    trigger_prefixes: list[str] | UnsetType | None = UNSET
    trigger_patterns: list[str] | UnsetType | None = UNSET

    # Parts of the API that this server has no part for: an absent, null, false or empty value says nothing and passes.
    assessments_enabled: Any = None
    auto_destroy_at: Any = None
    auto_destroy_activity_duration: Any = None
    project_remote_state: Any = None
    hyok_enabled: Any = None
    ssh_key: Ref | None = None


class CreateWorkspace(UpdateWorkspace, kw_only=True):
    """The same for a new one: it needs a name, and may come with tags as terraform before 1.10 sends them."""

    name: str
    tags: list[Ref] | UnsetType = UNSET


DEFAULTS: Final[dict[str, object]] = {
    "description": None,
    "execution_backend": None,
    "terraform_version": "latest",
    "working_directory": None,
    "auto_apply": False,
    "auto_apply_run_trigger": False,
    "allow_destroy_plan": True,
    "queue_all_runs": False,
    "speculative_enabled": True,
    "file_triggers_enabled": True,
    "global_remote_state": False,
    "untrusted_plans": UntrustedPlans.WITH_SECRETS.value,
    "structured_run_output_enabled": True,
    "vendored_providers": False,
    "vcs_sparse_fetch": False,
    "fork_pull_requests": ForkPullRequests.IGNORE.value,
    "trigger_prefixes": [],
    "trigger_patterns": [],
    "resource_cpu": None,
    "resource_memory": None,
    "source_name": None,
    "source_url": None,
}
"""Settings of a workspace that was sent with a name and nothing else, as terraform sends it. A `null` means these too."""

_UNAVAILABLE: Final[dict[str, str]] = {
    "assessments_enabled": "Assessments are not made by the clock here; POST to the workspace's actions/assess starts one",
    "auto_destroy_at": "Workspaces are not destroyed automatically here",
    "auto_destroy_activity_duration": "Workspaces are not destroyed automatically here",
    "project_remote_state": "State is not shared by project here; name the workspaces as remote-state-consumers",
    "hyok_enabled": "Keys are not held outside this server",
}
_UNAVAILABLE_RELATIONSHIPS: Final[dict[str, str]] = {
    "ssh_key": "SSH keys are not kept here",
}
_LONGEST: Final = {"description": MAX_DESCRIPTION, "source_name": 255, "source_url": MAX_SOURCE, "terraform_version": MAX_VERSION}


def settings(sent: UpdateWorkspace) -> dict[str, object]:
    """The columns that the document sets, checked. Raises `Invalid` with everything that is wrong.

    Labels, the project and where runs are carried out (`execution`) are not among them: those ask the database.
    """
    problems = Problems()
    _unavailable(sent, problems)
    if sent.name is not UNSET and NAME.fullmatch(sent.name) is None:
        problems.add("Name must have 1 to 90 characters, and may only contain letters, digits, - and _", attribute="name")
    values = {name: _or_default(name, getattr(sent, name)) for name in DEFAULTS if getattr(sent, name) is not UNSET}
    _execution(sent, problems)
    _working_directory(sent, values, problems)
    _triggers(values, problems)
    for name, problem in _wrong(values):
        problems.add(problem, attribute=wire_name(name))
    problems.refuse()
    if sent.name is not UNSET:
        values["name"] = sent.name
    return values


def _or_default(name: str, value: object) -> object:
    return DEFAULTS[name] if value is None or (value == "" and DEFAULTS[name] is None) else value


def _unavailable(sent: UpdateWorkspace, problems: Problems) -> None:
    for name, problem in _UNAVAILABLE.items():
        if getattr(sent, name):
            problems.add(problem, attribute=wire_name(name))
    for name, problem in _UNAVAILABLE_RELATIONSHIPS.items():
        if getattr(sent, name) is not None:
            problems.add(problem, relationship=wire_name(name))


def execution(sent: UpdateWorkspace) -> Said:
    """What a document that `settings` has passed says of where runs are carried out."""
    return _execution(sent, Problems())


def _execution(sent: UpdateWorkspace, problems: Problems) -> Said:
    """`operations` is the old form of the mode."""
    mode, operations = sent.execution_mode, sent.operations
    if isinstance(operations, bool):
        if isinstance(mode, str):
            problems.add("Send execution-mode or operations, not both", attribute="operations")
        else:
            mode = ExecutionMode.REMOTE if operations else ExecutionMode.LOCAL
    overwrites = sent.setting_overwrites if isinstance(sent.setting_overwrites, SettingOverwrites) else SettingOverwrites()
    return said(
        problems,
        mode=mode,
        pool_id=sent.agent_pool_id,
        pool=sent.agent_pool,
        overwrites=(overwrites.execution_mode, overwrites.agent_pool),
    )


def _working_directory(sent: UpdateWorkspace, values: dict[str, object], problems: Problems) -> None:
    """One value under two names: the contract's `vcs-working-directory` is `working-directory`."""
    given = {name: getattr(sent, name) for name in ("working_directory", "vcs_working_directory") if getattr(sent, name) is not UNSET}
    if not given:
        return
    name, text = next(iter(given.items()))
    if len({value or None for value in given.values()}) > 1:
        problems.add("working-directory and vcs-working-directory are one setting; they differ", attribute="vcs-working-directory")
        return
    path = normal_path(text or "")
    if path is None:
        problems.add(
            f"Working directory must be a relative path inside the configuration, of at most {MAX_PATH} characters",
            attribute=wire_name(name),
        )
    values["working_directory"] = path or None


def _triggers(values: dict[str, object], problems: Problems) -> None:
    """Directories and globs, from the root of the repository."""
    for name in ("trigger_prefixes", "trigger_patterns"):
        given = values.get(name)
        if not isinstance(given, list) or not given:
            continue
        if len(given) > MAX_TRIGGERS or not all(0 < len(each) <= MAX_PATH and each.isprintable() for each in given):
            problems.add(f"{wire_name(name)} must be at most {MAX_TRIGGERS} paths", attribute=wire_name(name))
    if values.get("trigger_prefixes") and values.get("trigger_patterns"):
        problems.add("Give trigger-prefixes or trigger-patterns, not both", attribute="trigger-patterns")
    prefixes = values.get("trigger_prefixes")
    if isinstance(prefixes, list):
        normal = [normal_path(each.lstrip("/")) for each in prefixes]
        if None in normal:
            problems.add("Trigger prefixes must be directories inside the repository", attribute="trigger-prefixes")
        values["trigger_prefixes"] = normal
    patterns = values.get("trigger_patterns")
    for each in patterns if isinstance(patterns, list) else ():
        if each.startswith("!") or {".", ".."} & set(each.split("/")):
            problems.add(
                f"The trigger pattern {each[:64]!r} fits no path: patterns begin at the root of the repository, as live/**/*.tf, "
                "and have no . or .. in them and no ! before them",
                attribute="trigger-patterns",
            )


def normal_path(text: str) -> str | None:
    """A relative path without needless parts (`./a//b/` is `a/b`, the root is empty); `None` for one that is none or leads out."""
    if len(text) > MAX_PATH or text.startswith("/") or "\\" in text or not text.isprintable():
        return None
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return None if ".." in parts else "/".join(parts)


def _wrong(values: dict[str, object]) -> Iterator[tuple[str, str]]:
    for name, most in _LONGEST.items():
        value = values.get(name)
        if isinstance(value, str) and len(value) > most:
            yield name, f"{wire_name(name)} must have at most {most} characters"
    version = values.get("terraform_version")
    if isinstance(version, str) and len(version) <= MAX_VERSION:
        problem = version_problem(version)
        if problem:
            yield "terraform_version", problem
    if values.get("execution_backend") not in (None, "terraform", "tofu"):
        yield "execution_backend", "Execution backend must be terraform or tofu"
    if values.get("untrusted_plans", UntrustedPlans.WITH_SECRETS) not in tuple(UntrustedPlans):
        yield "untrusted_plans", f"untrusted-plans must be one of {', '.join(UntrustedPlans)}"
    if values.get("fork_pull_requests", ForkPullRequests.IGNORE) not in tuple(ForkPullRequests):
        yield "fork_pull_requests", f"fork-pull-requests must be one of {', '.join(ForkPullRequests)}"
    for name, form, example in (("resource_cpu", CPU, "1, 0.5 or 500m"), ("resource_memory", MEMORY, "2Gi or 512Mi")):
        quantity = values.get(name)
        if isinstance(quantity, str) and form.fullmatch(quantity) is None:
            yield name, f"{wire_name(name)} must be an amount such as {example}"


def version_problem(text: str) -> str | None:
    """What is wrong with a `terraform-version`; `None` when nothing is."""
    try:
        Wanted.parse(text)
    except ValueError as error:
        return str(error)
    return None if text.strip() else "terraform-version may not be empty; write `latest` for the newest"
