"""What GitLab's API answers, as far as it is read (docs.gitlab.com, "REST API resources"). Unknown members are left alone."""

from __future__ import annotations

from msgspec import Struct


class User(Struct):
    """`GET /user`, and authors."""

    username: str
    web_url: str = ""
    avatar_url: str | None = None


class Token(Struct):
    """`GET /personal_access_tokens/self`: also of project and group access tokens. Since GitLab 15.5."""

    scopes: list[str]
    expires_at: str | None = None


class Project(Struct):
    """`GET /projects/:id`, and each of `GET /projects?simple=true`."""

    id: int
    path_with_namespace: str
    default_branch: str | None = None
    """`None` for a repository without commits."""
    web_url: str = ""
    visibility: str = "private"
    merge_requests_access_level: str = "enabled"


class Commit(Struct):
    """`GET /projects/:id/repository/commits/:sha`."""

    id: str
    message: str = ""
    author_name: str = ""
    web_url: str = ""


class MergeRequest(Struct):
    """Each of `GET /projects/:id/merge_requests`."""

    iid: int
    title: str
    web_url: str
    source_branch: str
    target_branch: str
    target_project_id: int
    source_project_id: int | None = None
    """`None` when the fork is gone."""
    sha: str | None = None
    """`None` when it has no commits."""
    description: str | None = None
    author: User | None = None


class Diff(Struct):
    """A file of `Compare`."""

    old_path: str
    new_path: str


class Compare(Struct):
    """`GET /projects/:id/repository/compare`."""

    diffs: list[Diff]
    compare_timeout: bool | None = None
    """Whether there are more files than GitLab names."""


class Note(Struct):
    """`POST` and `PUT` of `/projects/:id/merge_requests/:iid/notes`."""

    id: int


class Refusal(Struct):
    """What comes with a status that is no success: mostly a text, sometimes fields with texts."""

    message: object = None
    error: object = None

    @property
    def text(self) -> str:
        """On one line."""
        said = f"{self.message or self.error or ''}"
        return said if said.isprintable() else ""
