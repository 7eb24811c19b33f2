"""What a state version and its outputs are shown with: links for whoever may follow them, values for whoever may see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.clock import Clock
from terrapod_core.secrets import Keyring
from terrapod_core.states import queries
from terrapod_core.states.models import VALUE_COLUMN, StateStatus, StateVersion, StateVersionOutput
from terrapod_core.storage import Capabilities, Purpose
from terrapod_core.workspaces import Workspace

DOWNLOAD_LIFE: Final = timedelta(minutes=15)


class Views:
    """Fills in what is not in the rows."""

    def __init__(self, authz: Authorizer, capabilities: Capabilities, keyring: Keyring, clock: Clock) -> None:
        self._authz = authz
        self._capabilities = capabilities
        self._keyring = keyring
        self._clock = clock

    def may_see(self, actor: Actor, workspace: Workspace, version: StateVersion) -> bool:
        """Whether the version is for this reader of the workspace: unfinished ones are for those who write.

        A run's engine reads what is current: an older state may hold a secret that was taken out of it.
        """
        if actor.engine is not None:
            return version.id == workspace.current_state_version_id
        return version.status == StateStatus.FINALIZED or self._authz.allows(actor, Permission.STATE_WRITE, workspace)

    def fill(self, session: Session, actor: Actor, pairs: Sequence[tuple[StateVersion, Workspace]]) -> list[StateVersion]:
        """The versions with their links and the ids of their outputs, in one query for all."""
        ids = queries.output_ids(session, [version.id for version, _ in pairs])
        for version, workspace in pairs:
            version.output_ids = ids.get(version.id, ())
            self.link(actor, workspace, version)
        return [version for version, _ in pairs]

    def link(self, actor: Actor, workspace: Workspace, version: StateVersion, *, upload: bool = False) -> StateVersion:
        """The version with its links. `upload` gives those for uploading also when it is there already: the bytes may come again."""
        if (upload or version.status == StateStatus.PENDING) and self._authz.allows(actor, Permission.STATE_WRITE, workspace):
            version.upload_path = self._upload(Purpose.STATE_UPLOAD, version)
            version.json_upload_path = self._upload(Purpose.STATE_JSON_UPLOAD, version)
        if version.status == StateStatus.FINALIZED and self._authz.allows(actor, Permission.STATE_DOWNLOAD, workspace):
            version.download_path = self.download(Purpose.STATE_DOWNLOAD, version)
            if version.json_object_key is not None:
                version.json_download_path = self.download(Purpose.STATE_JSON_DOWNLOAD, version)
        return version

    def download(self, purpose: Purpose, version: StateVersion) -> str:
        """The path of a link that gives the bytes to whoever holds it, for a quarter of an hour."""
        return self._capabilities.url_path(purpose, "GET", version.id, expires=self._clock.now() + DOWNLOAD_LIFE)

    def outputs(self, found: Sequence[StateVersionOutput], *, secrets: bool = False) -> Sequence[StateVersionOutput]:
        """The outputs with the values that may be shown; sensitive ones only when `secrets` says so."""
        for output in found:
            if output.value is not None and (secrets or not output.sensitive):
                output.shown_value = msgspec.Raw(self._keyring.open(output.value, column=VALUE_COLUMN, row=output.id))
        return found

    def _upload(self, purpose: Purpose, version: StateVersion) -> str:
        return self._capabilities.url_path(purpose, "PUT", version.id, expires=version.upload_expires_at)
