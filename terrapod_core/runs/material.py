"""What a runner is given to carry out its phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from terrapod_core import traces
from terrapod_core.configurations import queries as configurations
from terrapod_core.configurations.models import ConfigurationStatus
from terrapod_core.db import UnitOfWork
from terrapod_core.runs.engines_offered import EnginesOffered
from terrapod_core.runs.freshness import state_moved
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.requests import variables_of
from terrapod_core.runs.service import VARIABLES_COLUMN
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Settings
from terrapod_core.states import States
from terrapod_core.storage import PhaseClaim, PhaseTokens
from terrapod_core.variables import RunValue, Variables
from terrapod_core.workspaces import UntrustedPlans, Workspace

RENEW_SECONDS: Final = 10
UNPACK_LIMITS: Final = {"entries": 100_000, "unpacked-bytes": 2 * 1024**3, "ratio": 200, "path-bytes": 1024}

ProjectName = Callable[[Session, str | None], str]


class Materials:
    """Gathers it from the rooms that have it."""

    def __init__(
        self,
        variables: Variables,
        states: States,
        keyring: Keyring,
        settings: Settings,
        project_name: ProjectName,
        tokens: PhaseTokens,
        engines: EnginesOffered,
        mirrored: Sequence[str] = (),
    ) -> None:
        """`mirrored` are the registry hosts whose providers and modules runs are given by this server."""
        self._variables = variables
        self._states = states
        self._keyring = keyring
        self._settings = settings
        self._project_name = project_name
        self._tokens = tokens
        self._mirrored = list(mirrored)
        self._engines = engines

    async def refusal(self, uow: UnitOfWork, run: Run, workspace: Workspace, phase: Phase) -> str | None:
        """Why a phase must not begin: its configuration or its plan is gone, or the state has moved since; `None` when it may."""
        configuration = await uow.run(lambda session: configurations.by_id(session, run.configuration_version_id))
        if configuration is None or configuration.status != ConfigurationStatus.UPLOADED:
            became = "was deleted" if configuration is None else f"is {configuration.status}"
            return f"the run's configuration version {run.configuration_version_id} {became}; upload it again and start a new run"
        if phase.kind == "plan":
            return None
        plan = await uow.session.get_one(Phase, run.plan_id)
        if plan.plan_file_key is None or plan.plan_file_digest is None:
            return "the saved plan is gone; make a new plan"
        moved = await uow.run(lambda session: state_moved(session, run))
        return f"{moved}; nothing was changed, make a new plan" if moved is not None else None

    def withholds(self, workspace: Workspace, run: Run) -> bool:
        """Whether the run gets no sensitive variables, because nobody with the level write vouches for what it executes."""
        return run.of_fork or (not run.trusted and workspace.untrusted_plans != UntrustedPlans.WITH_SECRETS)

    async def of(self, uow: UnitOfWork, workspace: Workspace, run: Run, phase: Phase, claim: PhaseClaim) -> dict[str, Any]:
        """The document of `POST …/claim`. Notes on the run which state the plan is made from."""
        # A state has secrets in it, which whoever wrote what is executed could have printed.
        current = await uow.run(lambda session: self._states.current(session, workspace.id)) if not run.of_fork else None
        state = {"serial": current.serial, "lineage": current.lineage} if current is not None else None
        plan = phase
        if phase.kind == "plan":
            phase.structured_output = self._settings.structured_output and workspace.structured_run_output_enabled
            run.state_serial = current.serial if current is not None else None
            run.state_lineage = current.lineage if current is not None else None
            run.input_state_version_id = current.id if current is not None else None
        else:
            plan = await uow.session.get_one(Phase, run.plan_id)
            phase.structured_output = plan.structured_output
        variables, environment = await uow.run(lambda session: self._inputs(session, workspace, run))
        parent = traces.phase_parent(run.id, phase.id, phase.epoch)
        tool = run.engine or workspace.execution_backend
        return {
            "phase": phase.kind,
            "run-id": run.id,
            "workspace-id": workspace.id,
            "workspace-name": workspace.name,
            "organization": "default",
            "project-name": await uow.run(lambda session: self._project_name(session, workspace.project_id)),
            "renew-seconds": RENEW_SECONDS,
            "engine": {"tool": tool, "version": run.terraform_version, "cached": self._engines.to(tool)},
            "working-directory": workspace.working_directory or "",
            "vendored-providers": workspace.vendored_providers,
            "operation": {
                "destroy": run.is_destroy,
                "refresh": run.refresh,
                "refresh-only": run.refresh_only,
                "targets": run.target_addrs,
                "replaces": run.replace_addrs,
                "generate-config": run.allow_config_generation,
            },
            "variables": variables,
            "environment": environment,
            "engine-access": {"token": self._tokens.issue_engine(claim), "urls": addresses(self._settings)},
            "mirrored-hosts": self._mirrored,
            "state": state,
            "structured-output": phase.structured_output,
            "plan-digest": plan.plan_file_digest if phase.kind == "apply" else None,
            "limits": {"log-bytes": self._settings.limits.log_bytes, **UNPACK_LIMITS},
            **({"traceparent": parent} if parent is not None else {}),
        }

    def _inputs(self, session: Session, workspace: Workspace, run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Terraform variables, by key, and the environment; which value is in force, the variables' room says."""
        given = variables_of(self._keyring.open(run.variables, column=VARIABLES_COLUMN, row=run.id)) if run.variables is not None else []
        terraform: list[dict[str, Any]] = []
        environment: list[dict[str, Any]] = []
        said = [RunValue(each.key, each.value) for each in given]
        for variable in self._variables.effective(session, workspace, said, secrets=not self.withholds(workspace, run)):
            sent = {"key": variable.key, "value": variable.value, "sensitive": variable.sensitive}
            if variable.category == "env":
                environment.append(sent)
            else:
                terraform.append({**sent, "hcl": variable.hcl})
        return terraform, environment


def addresses(settings: Settings) -> list[str]:
    """The addresses by which configurations name this server: `external_url`, else this machine's names for itself."""
    if settings.external_url is not None:
        return [settings.external_url]
    server = settings.server
    scheme = "https" if server.tls_cert is not None else "http"
    return [f"{scheme}://{host}:{server.port}" for host in ("localhost", "127.0.0.1")]


def hosts(settings: Settings) -> frozenset[str]:
    """The same as source addresses name it: `terrapod.example.com`, `localhost:8080`."""
    return frozenset(urlsplit(each).netloc.lower().removesuffix(":443") for each in addresses(settings))
