"""Gitea and Forgejo repositories for Terrapod's workspaces and modules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import terrapod_core.plugin as terrapod
from terrapod_core.plugin import Commit, CommitStatus, Connection, Repo, RepoInfo, VCSEvent


@terrapod.hookimpl
def register_vcs_providers(context: terrapod.PluginContext) -> list[Gitea]:
    return [Gitea(context.http)]


class Gitea(terrapod.ForgeProvider):
    name = "gitea"
    display_name = "Gitea"

    @asynccontextmanager
    async def client(self, connection: Connection) -> AsyncIterator[GiteaClient]:
        async with self.http.trusted(timeout=600, max_bytes=1 << 30, follow_redirects=True) as http:
            http.auth = ("terrapod", connection.values["token"])
            yield GiteaClient(http, connection.base_url)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, secret: str) -> VCSEvent | None:
        told = terrapod.signed_json(headers, "X-Gitea-Signature", body, secret)
        return VCSEvent(Repo(told["repository"]["full_name"]), told["ref"]) if headers.get("X-Gitea-Event") == "push" else None


class GiteaClient(terrapod.ForgeClient):
    api = "/api/v1"

    async def account(self) -> str:
        return str((await self.ask("GET", "/user"))["login"])

    async def repository(self, repo: Repo) -> RepoInfo:
        it = await self.ask("GET", f"/repos/{repo}")
        return RepoInfo(Repo(it["full_name"]), it["default_branch"], it["html_url"], it["clone_url"], it["private"])

    async def commit(self, repo: Repo, sha: str) -> Commit:
        it = await self.ask("GET", f"/repos/{repo}/git/commits/{sha}")
        return Commit(it["sha"], it["commit"]["message"], it["commit"]["author"]["name"], url=it["html_url"])

    def archive(self, repo: Repo, sha: str, paths: Sequence[str]) -> AsyncIterator[bytes]:
        return self.download(f"/repos/{repo}/archive/{sha}.tar.gz")

    async def set_status(self, repo: Repo, sha: str, status: CommitStatus) -> None:
        state = {"running": "pending", "canceled": "warning"}.get(status.state, status.state)
        body = {"context": status.context, "state": state, "description": status.description, "target_url": status.target_url}
        await self.ask("POST", f"/repos/{repo}/statuses/{sha}", body)
