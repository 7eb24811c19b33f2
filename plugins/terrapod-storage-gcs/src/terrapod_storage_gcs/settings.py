"""What an operator may choose of storage in Google Cloud."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from terrapod_core.plugin import ObjectStoreSettings, setting


@dataclass(frozen=True, kw_only=True)
class GCSStorageSettings(ObjectStoreSettings):
    """`[storage.gcs]`."""

    bucket: str = setting("", "Name of the bucket; it must be there already.")
    endpoint_url: str = setting("", "URL of another service that speaks the JSON API.", shown_default="Google's")
    credentials: str = setting(
        "", "Key of a service account, the JSON of it.", secret=True, shown_default="Google's application default credentials"
    )
    anonymous: bool = setting(False, "Send no credentials at all, for a service that asks for none.")
    kms_key_name: str = setting("", "Full name of a Cloud KMS key that objects are encrypted with.", shown_default="what the bucket says")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.credentials and self.anonymous:
            raise ValueError("give credentials or anonymous = true, not both")
        if self.credentials:
            _ = self.account
        if self.endpoint_url and urlsplit(self.endpoint_url).scheme not in ("http", "https"):
            raise ValueError("endpoint_url must begin with http:// or https://")

    @property
    def account(self) -> dict[str, Any]:
        """The key of the service account, as Google's library takes it."""
        try:
            account: Any = json.loads(self.credentials)
        except ValueError:
            account = None
        if not isinstance(account, dict) or account.get("type") != "service_account":
            raise ValueError("credentials must be the JSON of a service account's key, as Google gives it")
        return account

    @property
    def where(self) -> str:
        """The place, as it is named in sentences."""
        return f"the bucket {self.bucket} at {self.endpoint_url or 'Google Cloud Storage'}"
