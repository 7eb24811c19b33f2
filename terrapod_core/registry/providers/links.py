"""Signed links of versions and platforms: where their files are uploaded to, and fetched from."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from terrapod_core.clock import Clock
from terrapod_core.registry.providers.models import ProviderPlatform, ProviderVersion, Source
from terrapod_core.storage import Capabilities, Purpose

UPLOAD_LIFE: Final = timedelta(hours=1)
"""In which an upload must begin; whoever may publish reads the version again for a new link."""

DOWNLOAD_LIFE: Final = timedelta(minutes=15)


class Links:
    """Issues them; who gets them, the services have decided."""

    def __init__(self, capabilities: Capabilities, clock: Clock) -> None:
        self._capabilities = capabilities
        self._clock = clock

    def of_version(self, version: ProviderVersion) -> ProviderVersion:
        """The version with its links, and those of its platforms."""
        takes = version.can_upload and version.source == Source.PUBLISHER
        version.sums_upload_path = self._upload(Purpose.PROVIDER_SUMS_UPLOAD, version.id) if takes and version.sums is None else None
        takes = takes and version.signature is None
        version.signature_upload_path = self._upload(Purpose.PROVIDER_SIGNATURE_UPLOAD, version.id) if takes else None
        version.sums_download_path = self.sums(version) if version.sums is not None else None
        version.signature_download_path = self.signature(version) if version.signature is not None else None
        for platform in version.platforms:
            self.of_platform(platform, version)
        return version

    def of_platform(self, platform: ProviderPlatform, version: ProviderVersion) -> ProviderPlatform:
        """The platform with its links."""
        takes = version.can_upload and not platform.is_uploaded
        platform.upload_path = self._upload(Purpose.PROVIDER_UPLOAD, platform.id) if takes else None
        platform.download_path = self.archive(platform) if platform.is_uploaded and version.revocation is None else None
        return platform

    def sums(self, version: ProviderVersion) -> str:
        """Where `SHA256SUMS` is fetched from."""
        return self._download(Purpose.PROVIDER_SUMS_DOWNLOAD, version.id)

    def signature(self, version: ProviderVersion) -> str:
        """Where its signature is fetched from."""
        return self._download(Purpose.PROVIDER_SIGNATURE_DOWNLOAD, version.id)

    def archive(self, platform: ProviderPlatform, subject: str = "") -> str:
        """Where the zip is fetched from; `subject` is who is given the link, as `subject_of` calls them."""
        return self._download(Purpose.PROVIDER_DOWNLOAD, platform.id, subject)

    def _upload(self, purpose: Purpose, object_id: str) -> str:
        return self._capabilities.url_path(purpose, "PUT", object_id, expires=self._clock.now() + UPLOAD_LIFE)

    def _download(self, purpose: Purpose, object_id: str, subject: str = "") -> str:
        expires = self._clock.now() + DOWNLOAD_LIFE
        return self._capabilities.url_path(purpose, "GET", object_id, expires=expires, subject=subject)
