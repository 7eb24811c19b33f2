"""The plugin API: all that a plugin may import.

A plugin is a distribution with an entry point in the group `terrapod`, whose name says its kind and its own name
(`storage-s3`), and whose module implements hooks of `terrapod_core.plugin.hookspecs` under `@hookimpl`.
"""

from __future__ import annotations

from terrapod_core.clock import Clock
from terrapod_core.outgoing import (
    HTTPClients,
    OutgoingError,
    OutgoingRefused,
    OutgoingTimeout,
    OutgoingTooLarge,
    OutgoingUnreachable,
)
from terrapod_core.plugin._manager import Plugins
from terrapod_core.plugin._records import PluginRecord, PluginState
from terrapod_core.plugin.auth import (
    AuthProvider,
    Callback,
    Form,
    FormField,
    Identity,
    LoginRefused,
    LoginRequest,
    OnceStore,
    PasswordRefused,
    PasswordStore,
    ProviderUnavailable,
    Redirect,
    StoredPassword,
    SupportsMetadata,
    SupportsPasswords,
)
from terrapod_core.plugin.context import ContextFactory, PluginContext, PluginContexts
from terrapod_core.plugin.events import (
    ConfigurationUploaded,
    Event,
    RunCreated,
    RunStatusChanged,
    StateVersionFinalized,
    UnknownEvent,
    UserDeleted,
    WorkspaceDeleted,
    WorkspaceLocked,
    WorkspaceUnlocked,
)
from terrapod_core.plugin.hookspecs import hookimpl
from terrapod_core.plugin.keys import Key, KeyProvider, KeyringError, Keys
from terrapod_core.plugin.migrations import Migrations
from terrapod_core.plugin.runners import (
    JSON,
    UNDELIVERED_STATE,
    Handle,
    LaunchFailed,
    LaunchPostponed,
    PhaseSpec,
    PhaseState,
    RunnerBackend,
    SharesNetwork,
    StaysInPlace,
    SupportsCapacity,
    SupportsFinding,
    SupportsIsolation,
    SupportsSelfTest,
    SupportsTidying,
)
from terrapod_core.plugin.settings import PluginSettings
from terrapod_core.plugin.storage import ObjectInfo, ObjectMissing, StorageBackend, SupportsSignedURLs, check_key
from terrapod_core.settings import SettingsError, setting, subsections

__all__ = [
    "JSON",
    "UNDELIVERED_STATE",
    "AuthProvider",
    "Callback",
    "Clock",
    "ConfigurationUploaded",
    "ContextFactory",
    "Event",
    "Form",
    "FormField",
    "HTTPClients",
    "Handle",
    "Identity",
    "Key",
    "KeyProvider",
    "KeyringError",
    "Keys",
    "LaunchFailed",
    "LaunchPostponed",
    "LoginRefused",
    "LoginRequest",
    "Migrations",
    "ObjectInfo",
    "ObjectMissing",
    "OnceStore",
    "OutgoingError",
    "OutgoingRefused",
    "OutgoingTimeout",
    "OutgoingTooLarge",
    "OutgoingUnreachable",
    "PasswordRefused",
    "PasswordStore",
    "PhaseSpec",
    "PhaseState",
    "PluginContext",
    "PluginContexts",
    "PluginRecord",
    "PluginSettings",
    "PluginState",
    "Plugins",
    "ProviderUnavailable",
    "Redirect",
    "RunCreated",
    "RunStatusChanged",
    "RunnerBackend",
    "SettingsError",
    "SharesNetwork",
    "StateVersionFinalized",
    "StaysInPlace",
    "StorageBackend",
    "StoredPassword",
    "SupportsCapacity",
    "SupportsFinding",
    "SupportsIsolation",
    "SupportsMetadata",
    "SupportsPasswords",
    "SupportsSelfTest",
    "SupportsSignedURLs",
    "SupportsTidying",
    "UnknownEvent",
    "UserDeleted",
    "WorkspaceDeleted",
    "WorkspaceLocked",
    "WorkspaceUnlocked",
    "check_key",
    "hookimpl",
    "setting",
    "subsections",
]
