"""What an operator may choose of storage in S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from terrapod_core.plugin import ObjectStoreSettings, setting


@dataclass(frozen=True, kw_only=True)
class S3StorageSettings(ObjectStoreSettings):
    """`[storage.s3]`."""

    bucket: str = setting("", "Name of the bucket; it must be there already.")
    endpoint_url: str = setting("", "URL of an S3 that is not Amazon's: MinIO, Ceph, rclone.", shown_default="Amazon's, by the region")
    region: str = setting("", "Region of the bucket.", shown_default="what the AWS environment says")
    addressing_style: Literal["auto", "path", "virtual"] = setting(
        "auto", "Where requests name the bucket: in the `path` or in the host name (`virtual`). Most others than Amazon want `path`."
    )
    access_key_id: str = setting("", "Id of an access key.", shown_default="the credential chain of AWS")
    secret_access_key: str = setting("", "The secret that goes with `access_key_id`.", secret=True)
    session_token: str = setting("", "The token that goes with temporary credentials.", secret=True)
    encryption: Literal["", "AES256", "aws:kms"] = setting(
        "", "Encryption that the store is asked for with every object.", shown_default="what the bucket says"
    )
    kms_key_id: str = setting("", "Id or ARN of the key for `aws:kms`.", shown_default="the account's key for S3")

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key go together: give both, or none to use the credential chain of AWS")
        if self.kms_key_id and self.encryption != "aws:kms":
            raise ValueError("kms_key_id needs encryption = aws:kms")
        if self.endpoint_url and urlsplit(self.endpoint_url).scheme not in ("http", "https"):
            raise ValueError("endpoint_url must begin with http:// or https://")

    @property
    def where(self) -> str:
        """The place, as it is named in sentences."""
        return f"the bucket {self.bucket} at {self.endpoint_url or 'Amazon S3'}"
