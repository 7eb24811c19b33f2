"""What a plan has left, as answers: its JSON, the same without sensitive values, and the schemas to read both with."""

from __future__ import annotations

from typing import Final

from quart import Response

from terrapod_core.authz import Permission
from terrapod_core.errors import NotFound
from terrapod_core.runs import plan_json
from terrapod_core.runs.models import Phase
from terrapod_core.runs.plan_json import PlanRedactor
from terrapod_core.runs.queries import RunView
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.web import Web

JSON: Final = "application/json"


class PlanDocuments:
    """Answers for plans that the caller found with the permission that each needs: `NEEDS` the JSON, reading runs the others.

    A plan that has not ended is answered with 204. Raises `Gone` for what retention has removed.
    """

    NEEDS: Final = Permission.PLAN_JSON_READ

    def __init__(self, objects: Objects, redactor: PlanRedactor, web: Web) -> None:
        self._objects = objects
        self._redactor = redactor
        self._web = web

    async def json_output(self, plan: Phase, _view: RunView) -> Response:
        """All of it."""
        plan_json.check_kept(plan)
        if plan.plan_json_key is None:
            return self._web.empty(204)
        chunks = self._objects.get(ObjectKind.PLAN_JSON, plan.id, plan.plan_json_key)
        return self._web.download(chunks, size=None, content_type=JSON)

    async def redacted(self, plan: Phase, view: RunView) -> Response:
        """Without sensitive values; `NotFound` when it has no JSON."""
        if not plan.is_final:
            return self._web.empty(204)
        pieces, size = await self._redactor.redacted(plan, view.workspace.id)
        return self._web.download(pieces, size=size, content_type=JSON)

    async def json_schema(self, plan: Phase, _view: RunView) -> Response:
        """The schemas of its providers; `NotFound` when it has none."""
        if not plan.is_final:
            return self._web.empty(204)
        if plan.provider_schemas_key is None:
            raise NotFound("this plan has no provider schemas")
        chunks = self._objects.get(ObjectKind.PROVIDER_SCHEMAS, plan.id, plan.provider_schemas_key)
        return self._web.download(chunks, size=None, content_type=JSON)
