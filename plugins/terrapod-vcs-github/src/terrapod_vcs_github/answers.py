"""What is read of GitHub's answers. Source: GitHub's OpenAPI description of its REST API; fields that may be `null` there are so here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from terrapod_core.plugin import Commit, PullRequest, Repo, RepoInfo, VCSFailed

T = TypeVar("T")


class User(msgspec.Struct):
    """Also the account of an app; empty where GitHub answers with `{}`."""

    login: str = ""
    html_url: str = ""
    avatar_url: str = ""
    type: str = ""
    slug: str = ""
    """An enterprise has this in the place of a login."""


class Repository(msgspec.Struct):
    """Of a list or by itself."""

    full_name: str
    html_url: str
    clone_url: str
    default_branch: str = ""
    private: bool = True

    def info(self) -> RepoInfo:
        return RepoInfo(Repo(self.full_name), self.default_branch, self.html_url, self.clone_url, self.private)


class Repositories(msgspec.Struct):
    """A page of those of an installation."""

    repositories: list[Repository]


class Named(msgspec.Struct):
    """A repository in a pull request."""

    full_name: str


class End(msgspec.Struct):
    """Head or base of a pull request."""

    ref: str
    sha: str
    repo: Named | None = None
    """`None` when it was deleted."""


class Pull(msgspec.Struct):
    """A pull request of a list."""

    number: int
    title: str
    html_url: str
    head: End
    base: End
    body: str | None = None
    user: User | None = None

    def pull_request(self) -> PullRequest:
        here, there = self.base.repo, self.head.repo
        author = self.user or User()
        return PullRequest(
            number=self.number,
            title=self.title,
            body=self.body or "",
            url=self.html_url,
            head_sha=self.head.sha,
            head_branch=self.head.ref,
            base_branch=self.base.ref,
            is_fork=here is None or there is None or here.full_name.lower() != there.full_name.lower(),
            author_login=author.login,
            author_url=author.html_url,
            author_avatar_url=author.avatar_url,
        )


class Signature(msgspec.Struct):
    """Who a commit says that wrote it."""

    name: str = ""


class GitCommit(msgspec.Struct):
    """What git knows of a commit."""

    message: str
    author: Signature | None = None


class CommitAnswer(msgspec.Struct):
    """What GitHub knows of a commit."""

    sha: str
    html_url: str
    commit: GitCommit
    author: User | None = None
    """The account that the author's address belongs to."""

    def info(self) -> Commit:
        author = self.author or User()
        return Commit(
            sha=self.sha,
            message=self.commit.message,
            author_name=(self.commit.author or Signature()).name,
            author_login=author.login,
            author_url=author.html_url,
            author_avatar_url=author.avatar_url,
            url=self.html_url,
        )


class File(msgspec.Struct):
    """One that differs."""

    filename: str
    previous_filename: str = ""
    """Of one that was renamed."""


class Comparison(msgspec.Struct):
    """Three dots between two commits."""

    files: Sequence[File] = ()


class Comment(msgspec.Struct):
    """One below a pull request."""

    id: int


class AppInstallation(msgspec.Struct):
    """Of an app at an account."""

    id: int
    html_url: str
    account: User | None = None
    app_slug: str = ""
    permissions: Mapping[str, str] = {}
    suspended_at: str | None = None


class InstallationToken(msgspec.Struct):
    """What an app works with for an hour."""

    token: str
    expires_at: str


class Trouble(msgspec.Struct):
    """Of an answer that is none."""

    message: str = ""


def read(body: bytes, kind: type[T], host: str) -> T:
    """A document of this type; raises `VCSFailed` for what is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise VCSFailed(f"{host}: answered with a document that is not as it should be: {str(error)[:200]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise VCSFailed(f"{host}: answered with what is no JSON") from None
