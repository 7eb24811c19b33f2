"""What differs between modules and providers here: their tables, and how addresses name them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core.registry.models import Item
from terrapod_core.registry.modules import queries as modules_queries
from terrapod_core.registry.modules.models import Module, ModuleVersion
from terrapod_core.registry.modules.queries import Address
from terrapod_core.registry.modules.service import NOUN as MODULE_NOUN
from terrapod_core.registry.providers import queries as providers_queries
from terrapod_core.registry.providers.models import ProviderVersion, RegistryProvider
from terrapod_core.registry.providers.service import NOUN as PROVIDER_NOUN
from terrapod_core.registry.uses.models import ModuleConsumer, ModuleDownload, ProviderConsumer, ProviderDownload


@dataclass(frozen=True)
class Kind:
    """One kind of item. The tables are `Any`: what each of them adds to its mixin has the same name in all."""

    noun: str
    item: Any
    version: Any
    item_id: InstrumentedAttribute[str]
    """Of its versions."""
    consumer: Any
    download: Any
    parts: tuple[InstrumentedAttribute[str], ...]
    """The columns of an address, in its order."""
    find: Callable[[Session, Sequence[str]], Item | None]
    """The item of an address, by those parts."""


def _module(session: Session, parts: Sequence[str]) -> Item | None:
    return modules_queries.module(session, Address(*parts))


def _provider(session: Session, parts: Sequence[str]) -> Item | None:
    return providers_queries.provider(session, *parts)


MODULES: Final = Kind(
    MODULE_NOUN,
    Module,
    ModuleVersion,
    ModuleVersion.module_id,
    ModuleConsumer,
    ModuleDownload,
    (Module.namespace, Module.name, Module.provider),
    _module,
)
PROVIDERS: Final = Kind(
    PROVIDER_NOUN,
    RegistryProvider,
    ProviderVersion,
    ProviderVersion.provider_id,
    ProviderConsumer,
    ProviderDownload,
    (RegistryProvider.namespace, RegistryProvider.name),
    _provider,
)
KINDS: Final = (MODULES, PROVIDERS)
