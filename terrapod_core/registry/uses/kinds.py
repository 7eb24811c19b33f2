"""What differs between modules and providers here: their tables, and how addresses name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core.registry.models import Item
from terrapod_core.registry.modules import queries as modules_queries
from terrapod_core.registry.modules.models import Module, ModuleVersion
from terrapod_core.registry.modules.service import NOUN as MODULE_NOUN, TYPE as MODULE_TYPE
from terrapod_core.registry.providers import queries as providers_queries
from terrapod_core.registry.providers.models import ProviderVersion, RegistryProvider
from terrapod_core.registry.providers.service import NOUN as PROVIDER_NOUN, TYPE as PROVIDER_TYPE
from terrapod_core.registry.uses.models import ModuleConsumer, ModuleDownload, ProviderConsumer, ProviderDownload


@dataclass(frozen=True)
class Kind:
    """One kind of item. The tables are `Any`: what each of them adds to its mixin has the same name in all."""

    noun: str
    """As people call it."""
    collection: str
    """As JSON:API and paths call all of them."""
    item: Any
    version: Any
    item_id: InstrumentedAttribute[str]
    """Of its versions."""
    consumer: Any
    download: Any
    parts: tuple[InstrumentedAttribute[str], ...]
    """The columns of an address, in its order."""
    address: type[Any]
    """What paths name it by: a dataclass with a field for each of these."""
    find: Callable[[Session, Any], Item | None]
    """The item of an address; `None` when there is none."""


MODULES: Final = Kind(
    noun=MODULE_NOUN,
    collection=MODULE_TYPE,
    item=Module,
    version=ModuleVersion,
    item_id=ModuleVersion.module_id,
    consumer=ModuleConsumer,
    download=ModuleDownload,
    parts=(Module.namespace, Module.name, Module.provider),
    address=modules_queries.Address,
    find=modules_queries.module,
)
PROVIDERS: Final = Kind(
    noun=PROVIDER_NOUN,
    collection=PROVIDER_TYPE,
    item=RegistryProvider,
    version=ProviderVersion,
    item_id=ProviderVersion.provider_id,
    consumer=ProviderConsumer,
    download=ProviderDownload,
    parts=(RegistryProvider.namespace, RegistryProvider.name),
    address=providers_queries.Address,
    find=providers_queries.provider,
)
KINDS: Final = (MODULES, PROVIDERS)
