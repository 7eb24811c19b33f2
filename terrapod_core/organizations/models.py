"""The one organization, and what it is entitled to. No table: nothing about it can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAME: Final = "default"

EXTERNAL_ID: Final = "org-TerrapodDefauLt1"
"""Written, not drawn, so that every replica and every restore says the same."""

DEFAULT_PROJECT_ID: Final = "prj-DefauLtProject11"
"""The project of workspaces that name none. Written for the same reason."""


@dataclass(frozen=True)
class Organization:
    """What a client is shown of an organization; its JSON:API id is its name."""

    name: str = NAME
    external_id: str = EXTERNAL_ID
    default_project_id: str = DEFAULT_PROJECT_ID


ORGANIZATION: Final = Organization()

ENTITLEMENTS: Final = (
    "agents",
    "audit_logging",
    "configuration_designer",
    "cost_estimation",
    "global_run_tasks",
    "module_tests_generation",
    "operations",
    "policy_enforcement",
    "private_module_registry",
    "private_policy_agents",
    "private_run_tasks",
    "private_vcs",
    "run_tasks",
    "sentinel",
    "sso",
    "state_storage",
    "teams",
    "usage_reporting",
    "vcs_integrations",
)
"""All granted: nothing here is sold. terraform reads `operations` alone, and runs locally without it."""

UNLIMITED: Final = (
    "policy_limit",
    "policy_mandatory_enforcement_limit",
    "policy_set_limit",
    "run_task_limit",
    "run_task_mandatory_enforcement_limit",
    "run_task_workspace_limit",
    "user_limit",
    "versioned_policy_set_limit",
)
"""Limits of the real service; `null` is none."""
