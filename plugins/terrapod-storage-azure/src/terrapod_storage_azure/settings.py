"""What an operator may choose of storage in Azure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from terrapod_core.plugin import ObjectStoreSettings, setting


@dataclass(frozen=True, kw_only=True)
class AzureStorageSettings(ObjectStoreSettings):
    """`[storage.azure]`."""

    container: str = setting("", "Name of the container; it must be there already.")
    account_name: str = setting("", "Name of the storage account.")
    endpoint_url: str = setting(
        "",
        "URL of the account's blobs, in another cloud than Azure's public one.",
        shown_default="https://<account_name>.blob.core.windows.net",
    )
    account_key: str = setting("", "A key of the account.", secret=True, shown_default="the credential chain of Azure")
    sas_token: str = setting("", "A shared access signature for the container, instead of a key.", secret=True)
    connection_string: str = setting("", "Account, endpoint and key in one, instead of all these.", secret=True)
    tenant_id: str = setting("", "Tenant of a service principal, instead of the credential chain.")
    client_id: str = setting("", "Id of the service principal.")
    client_secret: str = setting("", "Secret of the service principal.", secret=True)
    encryption_scope: str = setting("", "Encryption scope that objects are written with.", shown_default="what the container says")

    def __post_init__(self) -> None:
        super().__post_init__()
        principal = [self.tenant_id, self.client_id, self.client_secret]
        if any(principal) and not all(principal):
            raise ValueError("tenant_id, client_id and client_secret go together")
        if sum(map(bool, (self.account_key, self.sas_token, self.connection_string, self.client_id))) > 1:
            raise ValueError("give one of account_key, sas_token, connection_string and a service principal, not several")
        if self.connection_string and (self.account_name or self.endpoint_url):
            raise ValueError("connection_string names the account and its endpoint: leave out account_name and endpoint_url")
        self._check_endpoint()

    def _check_endpoint(self) -> None:
        if not self.endpoint_url:
            return
        if urlsplit(self.endpoint_url).scheme not in ("http", "https"):
            raise ValueError("endpoint_url must begin with http:// or https://")
        if not (self.account_key or self.sas_token) and not self.endpoint_url.startswith("https://"):
            raise ValueError("endpoint_url must begin with https:// when tokens of Azure are sent there")

    @property
    def where(self) -> str:
        """The place, as it is named in sentences."""
        account = self.endpoint_url or (f"the account {self.account_name}" if self.account_name else "the account of its connection string")
        return f"the container {self.container} at {account}"

    @property
    def account_url(self) -> str:
        """Where the account's blobs are."""
        return self.endpoint_url or f"https://{self.account_name}.blob.core.windows.net"
