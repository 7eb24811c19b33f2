"""What each route is, in a sentence, by section. `nox -s docs` refuses a route that is missing here, and one that is gone.

Each file beside this one has the sections of a part of the product.
"""

from __future__ import annotations

from typing import Final

from tests.docs.route_words import (
    accounts,
    agents,
    mirrors,
    pages,
    registry,
    roles,
    runs,
    service,
    states,
    sync,
    variables,
    vcs,
    vcs_oauth,
    workspaces,
)
from tests.docs.route_words.section import Section

__all__ = ["SECTIONS", "Section"]

SECTIONS: Final = (
    service.SERVICE,
    workspaces.ORGANIZATION,
    accounts.USERS,
    accounts.ADMINISTERING,
    roles.AUDIT,
    accounts.NOT_SERVED,
    roles.ROLES,
    accounts.LOGIN,
    workspaces.PROJECTS,
    workspaces.WORKSPACES,
    workspaces.LABELS,
    vcs.CONNECTIONS,
    vcs.CHANGES,
    vcs.WEBHOOKS,
    variables.VARIABLES,
    registry.MODULES,
    registry.CONTENTS,
    registry.PROVIDERS,
    registry.GPG_KEYS,
    mirrors.MIRRORS,
    mirrors.ENGINES,
    mirrors.KEYS,
    mirrors.CACHES,
    agents.AGENT_POOLS,
    agents.LISTENERS,
    variables.VARIABLE_SETS,
    states.CONFIGURATIONS,
    states.STATES,
    vcs_oauth.OAUTH,
    runs.RUNS,
    runs.STREAMS,
    sync.SYNC,
    service.SIGNED_LINKS,
    runs.PHASES,
    pages.PAGES,
)
"""In the order of the page."""
