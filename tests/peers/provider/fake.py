"""A provider of terraform's, with one resource `fake_thing` that keeps what it is given. Runs in an environment of its own."""

from __future__ import annotations

import os
from typing import Any

from tf import runner, schema, types
from tf.iface import Provider, Resource


class Thing(Resource):  # type: ignore[misc]  # its package is not where this is checked
    """The resource."""

    def __init__(self, provider: Provider) -> None:
        """Of a provider that needs nothing."""

    @classmethod
    def get_name(cls) -> str:
        """Behind the prefix."""
        return "thing"

    @classmethod
    def get_schema(cls) -> schema.Schema:
        """A name, and an id that is made of it."""
        computed = schema.Attribute("id", types.String(), computed=True, default=types.Unknown)
        return schema.Schema(attributes=[computed, schema.Attribute("name", types.String(), required=True, requires_replace=True)])

    def create(self, ctx: Any, planned: dict[str, Any]) -> dict[str, Any]:
        """Keep it."""
        return {**planned, "id": "thing-" + planned["name"]}

    def read(self, ctx: Any, current: dict[str, Any]) -> dict[str, Any]:
        """It is as it was, or has the id that the environment says: so tests change it behind terraform's back."""
        return {**current, "id": os.environ.get("FAKE_THING_ID", current["id"])}

    def update(self, ctx: Any, current: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
        """Keep what is new."""
        return {**planned, "id": current["id"]}

    def delete(self, ctx: Any, current: dict[str, Any]) -> None:
        """There is nothing to remove."""


class Fake(Provider):  # type: ignore[misc]  # likewise
    """The provider."""

    def get_model_prefix(self) -> str:
        """Of its resources."""
        return "fake_"

    def full_name(self) -> str:
        """For a terraform that is told of it by hand."""
        return "registry.local/default/fake"

    def get_provider_schema(self, diags: Any) -> schema.Schema:
        """It takes no settings."""
        return schema.Schema(attributes=[])

    def validate_config(self, diags: Any, config: Any) -> None:
        """Likewise."""

    def configure_provider(self, diags: Any, config: Any) -> None:
        """Likewise."""

    def get_data_sources(self) -> list[Any]:
        """None."""
        return []

    def get_resources(self) -> list[Any]:
        """One."""
        return [Thing]

    def get_functions(self) -> list[Any]:
        """None."""
        return []


runner.run_provider(Fake())
