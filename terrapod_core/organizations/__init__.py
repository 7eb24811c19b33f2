"""The organization: there is one, called `default`; clients need the word in their paths."""

from __future__ import annotations

from terrapod_core.organizations.models import DEFAULT_PROJECT_ID, NAME, ORGANIZATION, Organization
from terrapod_core.organizations.service import Organizations, check

__all__ = ["DEFAULT_PROJECT_ID", "NAME", "ORGANIZATION", "Organization", "Organizations", "check"]
