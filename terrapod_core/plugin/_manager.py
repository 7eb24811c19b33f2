"""The plugins of one app: found, loaded one by one, asked one by one. One that breaks is a line in a list."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pluggy

from terrapod_core.plugin import hookspecs
from terrapod_core.plugin._discovery import Candidate, given, installed
from terrapod_core.plugin._loading import Loaded, PluginFailed, load, said
from terrapod_core.plugin._records import PluginRecord, PluginState
from terrapod_core.plugin.auth import AuthProvider
from terrapod_core.plugin.checks import RunCheck
from terrapod_core.plugin.context import ContextFactory, ServerContextFactory
from terrapod_core.plugin.coordination import CoordinationBackend
from terrapod_core.plugin.jobs import Every, Job, On
from terrapod_core.plugin.keys import KeyProvider
from terrapod_core.plugin.migrations import Migrations
from terrapod_core.plugin.mirrors import RegistryMirror
from terrapod_core.plugin.routes import Routes, covers
from terrapod_core.plugin.runners import RunnerBackend
from terrapod_core.plugin.server import WorkspaceAdditions
from terrapod_core.plugin.settings import section_of
from terrapod_core.plugin.storage import StorageBackend
from terrapod_core.plugin.vcs import VCSProvider
from terrapod_core.settings import Reference, Settings, SettingsError, nearest, reference_of

P = TypeVar("P")

log = logging.getLogger("terrapod.plugins")


class Plugins:
    """Every plugin that was found, and what became of it. Made by `discover`, once per app; no global state."""

    def __init__(self, settings: Settings, candidates: Sequence[Candidate]) -> None:
        self._settings = settings
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._records: list[PluginRecord] = []
        self._loaded: dict[str, Loaded] = {}
        self._refuse_sections_of_nobody(candidates)
        self._load_all(candidates)

    @classmethod
    def discover(cls, settings: Settings, *, modules: Mapping[str, object] | None = None) -> Plugins:
        """Load what is installed under the entry-point group `terrapod`, or, in tests, `modules` by plugin name instead.

        A plugin that cannot be loaded does not raise: see `records` and `failed_required`. `SettingsError` is raised for a
        section that belongs to no plugin, since it is most likely misspelt.
        """
        return cls(settings, installed() if modules is None else given(modules))

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """Every plugin by name, with its state."""
        return tuple(sorted(self._records, key=lambda record: (record.name, record.distribution or "")))

    @property
    def failed_required(self) -> tuple[PluginRecord, ...]:
        """Those named in `[plugins] required` that are not loaded: the server does not start, or is not ready."""
        required = self._settings.plugins.required
        return tuple(record for record in self.records if record.name in required and record.state is not PluginState.LOADED)

    def collect(self, hook: str, contexts: ContextFactory | None = None) -> list[tuple[str, Any]]:
        """Ask every loaded plugin that implements `hook`; its name and answer, by name, without those that answer `None`.

        `contexts` is needed for hooks that take a context. A plugin that raises is failed from then on.
        """
        answers = []
        for name, plugin in list(self._loaded.items()):
            if hook not in plugin.hooks:
                continue
            if self._settings.plugins.trace:
                log.info("%s is asked for %s", name, hook)
            try:
                offered = {"context": contexts(name, plugin.settings)} if contexts else {}
                answer = plugin.hooks[hook].call(**offered)
            except Exception as error:
                log.debug("%s of the plugin %s raised", hook, name, exc_info=True)
                self.fail(name, f"{hook} raised {said(error)}")
                continue
            if answer is not None:
                answers.append((name, answer))
        return answers

    def storage_backends(self, contexts: ContextFactory) -> dict[str, StorageBackend]:
        """Storage backends by name; what is none, or has a name that is taken, fails its plugin."""
        return self._named("register_storage_backends", contexts, StorageBackend)  # type: ignore[type-abstract]

    def auth_providers(self, contexts: ContextFactory) -> dict[str, AuthProvider]:
        """Auth providers by name, like `storage_backends`."""
        return self._named("register_auth_providers", contexts, AuthProvider)  # type: ignore[type-abstract]

    def runner_backends(self, contexts: ContextFactory) -> dict[str, RunnerBackend]:
        """Runner backends by name, like `storage_backends`."""
        return self._named("register_runner_backends", contexts, RunnerBackend)  # type: ignore[type-abstract]

    def key_providers(self, contexts: ContextFactory) -> dict[str, KeyProvider]:
        """Key providers of plugins by name, like `storage_backends`."""
        return self._named("register_key_providers", contexts, KeyProvider)  # type: ignore[type-abstract]

    def coordination_backends(self, contexts: ContextFactory) -> dict[str, CoordinationBackend]:
        """Coordination backends by name, like `storage_backends`."""
        return self._named("register_coordination_backends", contexts, CoordinationBackend)  # type: ignore[type-abstract]

    def registry_mirrors(self, contexts: ContextFactory) -> dict[str, RegistryMirror]:
        """Registry mirrors by name, like `storage_backends`."""
        return self._named("register_registry_mirrors", contexts, RegistryMirror)  # type: ignore[type-abstract]

    def vcs_providers(self, contexts: ContextFactory) -> dict[str, VCSProvider]:
        """VCS providers by name, like `storage_backends`."""
        return self._named("register_vcs_providers", contexts, VCSProvider)  # type: ignore[type-abstract]

    def run_checks(self, contexts: ServerContextFactory) -> dict[str, RunCheck]:
        """Run checks by name, like `storage_backends`."""
        return self._named("register_run_checks", contexts, RunCheck)  # type: ignore[type-abstract]

    def workspace_additions(self, contexts: ServerContextFactory) -> dict[str, WorkspaceAdditions]:
        """Additions to workspaces by the name of their plugin; another name fails the plugin."""
        hook, found = "register_workspace_additions", dict[str, WorkspaceAdditions]()
        for plugin, answer in self.collect(hook, contexts):
            try:
                named = _checked(hook, answer, WorkspaceAdditions, {})  # type: ignore[type-abstract]
                strange = next((name for name in named if name != plugin), None)
                if strange is not None:
                    raise PluginFailed(f"{hook} returned something called {strange}; its name is the plugin's, {plugin}")
            except PluginFailed as failure:
                self.fail(plugin, str(failure))
                continue
            found |= named
            self._provides(plugin, hookspecs.HOOKS[hook], named)
        return found

    def routes(self, contexts: ServerContextFactory) -> list[tuple[str, Routes]]:
        """Each plugin's routes; one whose prefix lies within another's fails."""
        found: list[tuple[str, Routes]] = []
        for name, answer in self.collect("register_routes", contexts):
            try:
                found += [(name, each) for each in _routes(name, answer, found)]
            except PluginFailed as failure:
                self.fail(name, str(failure))
        return found

    def jobs(self, contexts: ServerContextFactory) -> list[tuple[str, Job]]:
        """Each plugin's background work."""
        found: list[tuple[str, Job]] = []
        own = {name: each.base for name, each in self.migrations().items()}
        for name, answer in self.collect("register_jobs", contexts):
            try:
                found += [(name, each) for each in _jobs(answer, has_tables=own.get(name) is not None)]
            except PluginFailed as failure:
                self.fail(name, str(failure))
        return found

    def migrations(self) -> dict[str, Migrations]:
        """The migrations of plugins that own tables, by plugin name."""
        found: dict[str, Migrations] = {}
        for name, answer in self.collect("register_migrations"):
            taken = [
                other for other, each in found.items() if isinstance(answer, Migrations) and each.version_table == answer.version_table
            ]
            if not isinstance(answer, Migrations):
                self.fail(name, f"register_migrations returned {answer!r}, which is no Migrations")
            elif taken:
                self.fail(name, f"its version table {answer.version_table} is the plugin {taken[0]}'s")
            else:
                found[name] = answer
        return found

    def fail(self, name: str, reason: str) -> None:
        """Stop using a plugin that was loaded."""
        del self._loaded[name]
        self._manager.unregister(name=name)
        record = next(each for each in self._records if each.name == name)
        self._records.remove(record)
        self._note(dataclasses.replace(record, state=PluginState.FAILED, reason=reason, provides=()))

    def choose(self, available: Mapping[str, P], kind: str, name: str, key: str) -> P:
        """The one of its kind that the setting `key` names; `SettingsError` says what there is, what failed, and what may be missing."""
        if name in available:
            return available[name]
        failed = [f"the plugin {each.name} failed: {each.reason}" for each in self.records if each.state is PluginState.FAILED]
        disabled = [f"the plugin {each.name} is disabled" for each in self.records if each.state is PluginState.DISABLED]
        known = any(each.name == f"{kind}-{name}" for each in self.records)
        missing = [] if known else [f"is the package terrapod-{kind}-{name} installed?"]
        why = "; ".join([f"there is {', '.join(sorted(available)) or 'none'}", *failed, *disabled, *missing])
        raise SettingsError(f"{key} is {name}, which no loaded plugin provides; {why}")

    def reference(self) -> list[Reference]:
        """The settings of every loaded plugin, described like the core's."""
        return [
            row for name, plugin in self._loaded.items() for row in reference_of(type(plugin.settings), ".".join(section_of(name)) + ".")
        ]

    def _refuse_sections_of_nobody(self, candidates: Iterable[Candidate]) -> None:
        readable = {tuple(part.replace("-", "_") for part in section_of(each.name)) for each in candidates}
        for (kind, name), fields in self._settings.plugin_sections.items():
            if (kind, name) not in readable:
                meant = nearest(f"{kind}.{name}", [".".join(each) for each in readable])
                origin = next(iter(fields.values())).origin
                raise SettingsError(
                    f"unknown section [{kind}.{name}] in {origin}: no installed plugin reads it"
                    + (f"; did you mean [{meant}]?" if meant else "")
                )

    def _load_all(self, candidates: Sequence[Candidate]) -> None:
        by_name: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            by_name[candidate.name].append(candidate)
        for same in by_name.values():
            for candidate in same:
                self._load_one(candidate, same)
        choice = self._settings.plugins
        for missing in sorted({*choice.required, *choice.enabled} - set(by_name)):
            meant = nearest(missing, by_name)
            reason = "it is not installed" + (f"; did you mean {meant}?" if meant else "")
            self._note(PluginRecord(missing, None, None, PluginState.FAILED, reason))

    def _load_one(self, candidate: Candidate, same: Sequence[Candidate]) -> None:
        record = PluginRecord(candidate.name, candidate.distribution, candidate.version, PluginState.LOADED)
        choice = self._settings.plugins
        if candidate.name in choice.disabled or (choice.enabled and candidate.name not in choice.enabled):
            key = "disabled" if candidate.name in choice.disabled else "enabled"
            reason = f"plugins.{key} in {self._settings.origins.get(f'plugins.{key}', 'the settings')} " + (
                "names it" if key == "disabled" else "does not name it"
            )
            self._note(dataclasses.replace(record, state=PluginState.DISABLED, reason=reason))
            return
        try:
            if len(same) > 1:
                sources = " and ".join(each.source for each in same)
                raise PluginFailed(f"the name {candidate.name} is used by {sources}; uninstall one")
            loaded = load(self._manager, candidate, self._settings)
        except PluginFailed as failure:
            self._note(dataclasses.replace(record, state=PluginState.FAILED, reason=str(failure)))
            return
        self._loaded[candidate.name] = loaded
        self._note(dataclasses.replace(record, provides=tuple(hookspecs.HOOKS[hook] for hook in hookspecs.HOOKS if hook in loaded.hooks)))

    def _note(self, record: PluginRecord) -> None:
        self._records.append(record)
        if record.state is PluginState.FAILED:
            log.warning("the plugin %s is not used: %s", record.name, record.reason)

    def _named(self, hook: str, contexts: ContextFactory, protocol: type[P]) -> dict[str, P]:
        """What `hook` registers, by the name each thing has; a plugin's answer counts whole or not at all."""
        found: dict[str, P] = {}
        owners: dict[str, str] = {}
        for plugin, answer in self.collect(hook, contexts):
            try:
                named = _checked(hook, answer, protocol, owners)
            except PluginFailed as failure:
                self.fail(plugin, str(failure))
                continue
            found |= named
            owners |= dict.fromkeys(named, plugin)
            self._provides(plugin, hookspecs.HOOKS[hook], named)
        return found

    def _provides(self, plugin: str, kind: str, names: Iterable[str]) -> None:
        """Say by name what the record so far says by kind."""
        index = next(index for index, record in enumerate(self._records) if record.name == plugin)
        others = [each for each in self._records[index].provides if each != kind and not each.startswith(f"{kind} ")]
        provides = (*others, *(f"{kind} {name}" for name in sorted(names)))
        self._records[index] = dataclasses.replace(self._records[index], provides=provides)


def _strange(answer: object, kinds: tuple[type, ...]) -> str | None:
    """What is wrong with an answer that should be a list of these; `None` when nothing is."""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    if not isinstance(answer, (list, tuple)):
        return f"{answer!r}, which is no list"
    return next((f"{each!r}, which is no {wanted}" for each in answer if not isinstance(each, kinds)), None)


def _routes(plugin: str, answer: object, others: Sequence[tuple[str, Routes]]) -> list[Routes]:
    """The routes of one answer; raises `PluginFailed`."""
    strange = _strange(answer, (Routes,))
    if strange is not None or not isinstance(answer, (list, tuple)):
        raise PluginFailed(f"register_routes returned {strange}")
    taken = [(name, each.mounted_at(name)) for name, each in others]
    for routes in answer:
        prefix = routes.mounted_at(plugin)
        for owner, other in taken:
            if covers(prefix, other) or covers(other, prefix):
                raise PluginFailed(f"its prefix {prefix} lies within or around {other}, which is the plugin {owner}'s")
        taken.append((plugin, prefix))
    return list(answer)


def _jobs(answer: object, *, has_tables: bool) -> list[Job]:
    """The jobs of one answer; raises `PluginFailed`."""
    strange = _strange(answer, (Every, On))
    if strange is not None or not isinstance(answer, (list, tuple)):
        raise PluginFailed(f"register_jobs returned {strange}")
    names = [each.name for each in answer]
    twice = next((each for each in names if names.count(each) > 1), None)
    if twice is not None:
        raise PluginFailed(f"two of its jobs are called {twice}")
    asking = next((each.name for each in answer if isinstance(each, On) and each.concerning is not None), None)
    if asking is not None and not has_tables:
        raise PluginFailed(f"its job {asking} asks which workspaces concern it, and register_migrations declares no base to ask")
    return list(answer)


def _checked(hook: str, answer: object, protocol: type[P], owners: Mapping[str, str]) -> dict[str, P]:
    """The things of one answer by name; raises `PluginFailed`."""
    if not isinstance(answer, (list, tuple)):
        raise PluginFailed(f"{hook} returned {answer!r}, which is no list")
    named: dict[str, P] = {}
    for thing in answer:
        if not isinstance(thing, protocol):
            needed = sorted(name for name in dir(protocol) if not name.startswith("_") and not hasattr(thing, name))
            raise PluginFailed(f"{hook} returned {thing!r}, which is no {protocol.__name__}: it lacks {', '.join(needed)}")
        name = str(thing.name)  # type: ignore[attr-defined]
        if name in owners or name in named:
            first = f"the plugin {owners[name]}" if name in owners else "the same plugin"
            raise PluginFailed(f"{hook} returned something called {name}, a name that {first} gave already")
        named[name] = thing
    return named
