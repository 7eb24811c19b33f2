"""Terrapod: a self-hosted home for Terraform and OpenTofu."""

from __future__ import annotations

__version__ = "0.1.0"
