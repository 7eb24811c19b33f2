"""Forges: where workspaces and modules have their repositories.

A plugin says what a repository has and brings the bytes of a commit; it decides nothing and remembers nothing between requests but what
keeps them few (tokens, validators). The core asks a repository once for all workspaces that follow it, decides what becomes a run, and
tells commits what became of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable


class VCSMissing(Exception):
    """The forge answered, and has no such thing, or does not show it to these credentials. The text is a sentence."""


class VCSDenied(Exception):
    """The forge refuses the credentials: revoked, expired, or without a right. The text is a sentence that says which right to give."""


class VCSFailed(Exception):
    """The forge is down, too slow, has had enough of us or answers nonsense. The text names the host and the reason, and no secret."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        """`retry_after`: seconds for which the forge wants to be left alone, when it said so."""
        super().__init__(text)
        self.retry_after = retry_after


class BadSignature(Exception):
    """A webhook that nobody signed with this secret. The text names the header."""


class Unreadable(ValueError):
    """What a person wrote is no repository, or no usable connection. The text is a sentence for them."""

    def __init__(self, text: str, name: str | None = None) -> None:
        """`name`: the field of the connection that is wrong, when it is one."""
        super().__init__(text)
        self.name = name


@dataclass(frozen=True)
class Field:
    """Something that a connection is made with, beside its name and address."""

    name: str
    """As on the wire: `private-key`."""
    title: str
    """For forms."""
    secret: bool = True
    """Kept encrypted, and never shown again."""
    required: bool = False
    lines: bool = False
    """Whether it has several lines, as a PEM does."""
    number: bool = False
    """A whole number on the wire; text that names one here."""
    help: str = ""
    """A sentence about where to get it."""


@dataclass(frozen=True)
class Connection:
    """An account at a forge, as an operator set it up."""

    id: str
    base_url: str
    """Where people find the forge, without a slash at its end; the provider's `default_url` when none was given."""
    values: Mapping[str, str] = field(repr=False, default_factory=dict)
    """The provider's fields that were given, by name; secrets among them."""


@dataclass(frozen=True)
class Repo:
    """A repository of a connection."""

    path: str
    """As the forge calls it: `org/repo`, `group/subgroup/project`."""

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class RepoInfo:
    """What a forge says of a repository."""

    repo: Repo
    """Under its current name, also when it was asked for by a former one."""
    default_branch: str
    """Empty for a repository without commits."""
    http_url: str
    """Its page."""
    clone_url: str
    private: bool = True


class RefKind(StrEnum):
    """Names that a repository gives commits."""

    BRANCH = "branch"
    TAG = "tag"


@dataclass(frozen=True)
class Refs:
    """All branches or tags that were asked for, by name without `refs/heads/`; a tag names the commit, never a tag object.

    Names that are no text (git takes any bytes) are left out: nobody could write them down to follow them.
    """

    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    validator: str | None = None
    """What a later `refs` is given, so that "nothing changed" costs little."""


@dataclass(frozen=True)
class Commit:
    """One commit. What the forge does not know is empty."""

    sha: str
    message: str
    author_name: str = ""
    author_login: str = ""
    author_url: str = ""
    author_avatar_url: str = ""
    url: str = ""
    """Its page."""


@dataclass(frozen=True)
class PullRequest:
    """An open pull request; a merge request is one."""

    number: int
    title: str
    body: str
    url: str
    head_sha: str
    head_branch: str
    base_branch: str
    is_fork: bool
    """Whether its head lies in another repository than its base, so that other people may push to it. True when it is not known."""
    author_login: str = ""
    author_url: str = ""
    author_avatar_url: str = ""


@dataclass(frozen=True)
class PullRequests:
    """All open ones."""

    items: Sequence[PullRequest]
    validator: str | None = None


@dataclass(frozen=True)
class Installation:
    """An app's installation at an account of a forge."""

    id: int
    name: str
    type: str
    """`User` or `Organization`."""
    url: str = ""
    icon_url: str = ""


class CommitState(StrEnum):
    """How it goes with what a commit asked for."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    """It was carried out, and is wrong: the plan failed."""
    ERROR = "error"
    """It could not be carried out."""
    CANCELED = "canceled"


@dataclass(frozen=True)
class CommitStatus:
    """What is told of a commit. A forge that knows fewer states takes the nearest."""

    context: str
    """Which of several statuses of the commit: `terrapod/network-prod`."""
    state: CommitState
    description: str
    """At most 140 characters."""
    target_url: str


@dataclass(frozen=True)
class VCSEvent:
    """What a webhook was about. Nothing of it is believed: the repository is looked at as by the clock, only sooner."""

    repo: Repo
    ref: str = ""
    """`refs/heads/main`, when it is about one."""
    sha: str = ""


class VCSClient(Protocol):
    """One connection, for a while. Every method may be called many times at once.

    Each may raise `VCSMissing`, `VCSDenied` and `VCSFailed`; an `OutgoingError` that is let through counts as `VCSFailed`.
    """

    async def account(self) -> str:
        """Asks the forge as whom it knows us, and with the rights that are needed, as far as it tells; in words for people."""
        ...

    async def repository(self, repo: Repo) -> RepoInfo:
        """One repository."""
        ...

    async def refs(self, repo: Repo, kinds: frozenset[RefKind], validator: str | None) -> Refs | None:
        """All of these kinds, however many there are; `None` when nothing has changed since the answer with this validator, which
        was asked for the same kinds. Costs one request, whatever there is."""
        ...

    async def commit(self, repo: Repo, sha: str) -> Commit:
        """One commit, by its whole SHA."""
        ...

    def archive(self, repo: Repo, sha: str, paths: Sequence[str]) -> AsyncIterator[bytes]:
        """The tree of a commit as a gzip tar, as it comes, everything below one directory at its top, whatever that is called.

        `paths` are the directories (from the root, without slashes at their ends) that will be used; none for all. A forge that
        cannot choose sends everything. It must end with `VCSFailed` when the bytes stop before their end.
        """
        ...


@runtime_checkable
class VCSProvider(Protocol):
    """A kind of forge. Made without being asked to connect; all that it asks goes through `context.http`."""

    @property
    def name(self) -> str:
        """What connections call it: `github`."""
        ...

    @property
    def display_name(self) -> str:
        """What people call it: `GitHub`."""
        ...

    @property
    def service_providers(self) -> Sequence[str]:
        """What go-tfe's clients call it, the hosted one first; none when they know no word for it."""
        ...

    @property
    def default_url(self) -> str | None:
        """Where connections without an address go; `None` when they need one."""
        ...

    @property
    def fields(self) -> Sequence[Field]:
        """What a connection is made with. The one called `token` is what go-tfe's `oauth-token-string` fills."""
        ...

    def check(self, connection: Connection) -> None:
        """Refuse, without asking anybody, values that cannot belong together. Raises `Unreadable`."""
        ...

    def repository(self, connection: Connection, text: str) -> Repo:
        """The repository that a person means by a path (`org/repo`) or a URL of its page or for cloning. Raises `Unreadable`."""
        ...

    def client(self, connection: Connection) -> AbstractAsyncContextManager[VCSClient]:
        """A client for a while; entering it asks nobody. Values that changed since the last one are used from this one on."""
        ...


@runtime_checkable
class SupportsWebhooks(Protocol):
    """A provider whose forge tells of changes. Without it, repositories are looked at by the clock alone."""

    @property
    def webhook_secret(self) -> str | None:
        """What the settings say signs the webhooks that name no connection; `None`: there are none."""
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, secret: str) -> VCSEvent | None:
        """What a webhook tells; `None` for what does not matter. `headers` finds names in any case.

        Checks the signature before it looks at anything else, and raises `BadSignature`; `Unreadable` for a signed body that is none.
        """
        ...


@runtime_checkable
class SupportsPullRequests(Protocol):
    """A client that knows pull requests."""

    async def pull_requests(self, repo: Repo, validator: str | None) -> PullRequests | None:
        """All open ones, however many; `None` when nothing has changed since the answer with this validator. Costs one request
        when nothing has, or a hundred are open."""
        ...


@runtime_checkable
class SupportsChangedFiles(Protocol):
    """A client that can say what changed. Without it, every change counts as one of everything."""

    async def changed_files(self, repo: Repo, base: str, head: str) -> frozenset[str] | None:
        """Paths that differ between the newest common ancestor of two commits or branches and `head`, renamed files under both names;
        `None` when the forge does not tell all of them."""
        ...


@runtime_checkable
class SupportsCommitStatuses(Protocol):
    """A client that tells commits what became of them."""

    async def set_status(self, repo: Repo, sha: str, status: CommitStatus) -> None:
        """Replaces an earlier status of the same context."""
        ...


@runtime_checkable
class SupportsComments(Protocol):
    """A client that writes below pull requests."""

    async def comment(self, repo: Repo, number: int, body: str, comment_id: str | None) -> str:
        """Write a comment, or replace the text of this one; its id. One that somebody deleted is written anew. `body` is Markdown."""
        ...


@runtime_checkable
class SupportsInstallations(Protocol):
    """A client that acts as an app."""

    async def installation(self) -> Installation | None:
        """Where the app is installed; `None` when the connection is no app's."""
        ...


@runtime_checkable
class SupportsListing(Protocol):
    """A client that lists the repositories it may read."""

    async def repositories(self, most: int) -> Sequence[RepoInfo]:
        """At most so many of them, the recently used first where the forge can tell."""
        ...
