"""Configuration versions: archives of terraform files that people upload, and runs unpack."""

from __future__ import annotations

from terrapod_core.configurations.models import ConfigurationStatus, ConfigurationVersion
from terrapod_core.configurations.service import Configurations, CreateConfigurationVersion

__all__ = ["ConfigurationStatus", "ConfigurationVersion", "Configurations", "CreateConfigurationVersion"]
