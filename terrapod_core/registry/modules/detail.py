"""A version of a module in the words of the public registry's own API, which go-tfe reads for inputs, outputs and the README."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from terrapod_core.registry.contents.structs import Configuration, ModuleContents, Provider
from terrapod_core.registry.modules.models import Module, ModuleVersion


def document(module: Module, version: ModuleVersion, owner: str | None, published: Sequence[ModuleVersion]) -> bytes:
    """The document of a published version; `published` are all that are, and `owner` is what people call that user."""
    contents = msgspec.json.decode(version.contents or b"", type=ModuleContents)
    shown = {
        "id": f"{module.address}/{version.version}",
        "owner": owner or "",
        "namespace": module.namespace,
        "name": module.name,
        "version": version.version,
        "provider": module.provider,
        "provider_logo_url": "",
        "description": "",
        "source": "",
        "tag": version.tag or "",
        "published_at": version.published_at,
        "downloads": sum(each.download_count for each in published),
        "verified": False,
        "root": _part(contents.module),
        "submodules": [_part(each) for each in contents.submodules],
        "examples": [_part(each) for each in contents.examples],
        "providers": [module.provider],
        "versions": [each.version for each in published],
        "deprecation": version.deprecation and {name: version.deprecation[name] for name in ("reason", "link")},
    }
    return msgspec.json.encode(shown)


def _part(part: Configuration) -> dict[str, Any]:
    """One directory. Texts that are not there are empty: clients take no null for them."""
    empty = not (part.inputs or part.outputs or part.resources or part.providers or part.calls)
    return {
        "path": part.path,
        "name": part.path.rpartition("/")[2],
        "readme": part.readme.text if part.readme is not None else "",
        "empty": empty,
        "inputs": [
            {
                "name": each.name,
                "type": each.type or "any",
                "description": each.description or "",
                "default": each.default if each.default is not None else "",
                "required": each.required,
            }
            for each in part.inputs
        ],
        "outputs": [{"name": each.name, "description": each.description or ""} for each in part.outputs],
        "dependencies": [{"name": each.name, "source": each.source or "", "version": each.version or ""} for each in part.calls],
        "provider_dependencies": [_provider(each) for each in part.providers],
        "resources": [{"name": each.name, "type": each.type} for each in part.resources],
    }


def _provider(each: Provider) -> dict[str, str]:
    source = each.source or f"hashicorp/{each.name}"
    return {"name": each.name, "namespace": source.rpartition("/")[0].rpartition("/")[2], "source": source, "version": each.version or ""}
