"""The composition root: the only place where rooms meet. Everything is made here and handed to what needs it.

`services` makes the rooms' services, `blueprints` the routes and pages over them, `terrapod` one process of both.
"""

from __future__ import annotations

from terrapod_core.app.terrapod import Prepared, Terrapod, create_app, prepare

__all__ = ["Prepared", "Terrapod", "create_app", "prepare"]
