"""Terrapod: a self-hosted home for Terraform and OpenTofu."""

__version__ = "0.1.0"
