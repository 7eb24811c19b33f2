"""Pages for people: signing in, letting terraform in, tokens, workspaces, runs, the registry. Good without scripts, and without the net."""

from __future__ import annotations

from typing import Final

from terrapod_core.ui.account_pages import account_pages
from terrapod_core.ui.cache_pages import cache_pages
from terrapod_core.ui.connection_pages import connection_pages
from terrapod_core.ui.home_pages import home_pages
from terrapod_core.ui.live_pages import live_pages
from terrapod_core.ui.login_pages import login_pages
from terrapod_core.ui.pages import Pages
from terrapod_core.ui.registry_pages import registry_pages
from terrapod_core.ui.run_pages import run_pages
from terrapod_core.ui.sign_in_pages import SignInPage, sign_in_pages
from terrapod_core.ui.token_pages import token_pages
from terrapod_core.ui.version_control_pages import version_control_pages
from terrapod_core.ui.views import Happening, LivePages, PhaseView, RunAction, RunPages, RunView, WorkspacePages, WorkspaceRow
from terrapod_core.ui.workspace_pages import workspace_pages
from terrapod_core.web import TerrapodQuart
from terrapod_core.web.failures import Failures

__all__ = ["Happening", "LivePages", "Pages", "PhaseView", "RunAction", "RunPages", "RunView", "WorkspacePages", "WorkspaceRow", "register"]

OURS: Final = ("/app", "/oauth/authorize")
"""Paths that a browser opens: their errors are pages."""

SIGNING_IN: Final = ("/api/v2/auth/authorize", "/api/v2/auth/callback")
"""Paths on the way to and from another site: what goes wrong there is said on the sign-in page."""


def register(app: TerrapodQuart, failures: Failures, pages: Pages) -> None:
    """Mount the pages at the root, and let their errors be pages too."""
    app.register_blueprint(home_pages(pages))
    sign_in = SignInPage(pages)
    app.register_blueprint(sign_in_pages(pages, sign_in))
    app.register_blueprint(login_pages(pages))
    app.register_blueprint(token_pages(pages))
    app.register_blueprint(account_pages(pages))
    if pages.runs is not None:
        app.register_blueprint(run_pages(pages, pages.runs))
    if pages.workspace is not None:
        app.register_blueprint(workspace_pages(pages, pages.workspace))
    if pages.live is not None:
        app.register_blueprint(live_pages(pages, pages.live))
    if pages.registry is not None:
        app.register_blueprint(registry_pages(pages, pages.registry))
    if pages.caches is not None:
        app.register_blueprint(cache_pages(pages, pages.caches))
    if pages.connections is not None:
        app.register_blueprint(connection_pages(pages, pages.connections))
    if pages.version_control is not None:
        app.register_blueprint(version_control_pages(pages, pages.version_control))
    for prefix in OURS:
        failures.render(prefix, pages.error)
    for prefix in SIGNING_IN:
        failures.render(prefix, sign_in.error)
