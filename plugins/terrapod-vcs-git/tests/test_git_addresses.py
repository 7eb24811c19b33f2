from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from terrapod_core.plugin import Connection, PluginContext, Repo, Unreadable, VCSProvider
from terrapod_core.testing.mirrors import http_clients
from terrapod_vcs_git import register_settings, register_vcs_providers
from terrapod_vcs_git.provider import GitProvider
from terrapod_vcs_git.settings import GitSettings
from tests.support.git_sshd import GitSshd


def at(address: str, **values: str) -> Connection:
    return Connection("vcs-1", address, {name.replace("_", "-"): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("address", "text", "path"),
    [
        ("https://git.example.com", "org/repo", "org/repo"),
        ("https://git.example.com", "https://GIT.example.com:443/org/repo.git", "org/repo.git"),
        ("https://git.example.com:8443/some/path", "https://git.example.com:8443/some/path/repo", "repo"),
        ("https://dev.example.com/org", "https://dev.example.com/org/My%20project/_git/repo", "My project/_git/repo"),
        ("https://git.example.com", "~alice/dotfiles", "~alice/dotfiles"),
        ("ssh://git@git.example.com", "git@git.example.com:org/repo.git", "org/repo.git"),
        ("ssh://git@git.example.com:2222/srv/git", "ssh://git@git.example.com:2222/srv/git/org/repo.git", "org/repo.git"),
    ],
)
def test_a_repository_is_a_path_below_the_address(provider: GitProvider, address: str, text: str, path: str) -> None:
    assert provider.repository(at(address), text) == Repo(path)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("https://git.example.com/some/path", "https://git.example.com/other/repo"),
        ("https://git.example.com/some", "https://git.example.com/something/repo"),
        ("https://git.example.com", "https://git.example.com:8443/org/repo"),
        ("https://git.example.com", "https://alice:secret@git.example.com/org/repo"),
        ("https://git.example.com", "http://git.example.com/org/repo"),
        ("https://git.example.com", "https://git.example.com/org/%2e%2e/repo"),
        ("https://git.example.com", "org/%2d-upload-pack=id"),
        ("https://git.example.com", "https://git.example.com/org/repo?x=y"),
        ("https://git.example.com", "git@git.example.com:org/repo"),
        ("ssh://git@git.example.com", "ssh://root@git.example.com/org/repo"),
        ("ssh://git@git.example.com/srv/git", "git@git.example.com:org/repo"),
        ("ssh://git@git.example.com", "git@elsewhere.example.com:org/repo"),
        ("ssh://git@git.example.com", "-oProxyCommand=id/x"),
        ("ssh://git@git.example.com", "org/re'po"),
    ],
)
def test_what_lies_elsewhere_is_no_repository_of_the_connection(provider: GitProvider, address: str, text: str) -> None:
    with pytest.raises(Unreadable, match="by its path below"):
        provider.repository(at(address), text)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "git.example.com",
        "http://git.example.com",
        "git://git.example.com",
        "file:///srv/git",
        "ext::sh -c id",
        "https://",
        "https://git.example.com:0",
        "https://git.example.com:port",
        "https://alice@git.example.com",
        "https://alice:secret@git.example.com",
        "https://git.example.com/?a=b",
        "https://-oProxyCommand=id",
        "https://git.example.com/../x",
        "ssh://git.example.com",
        "ssh://-oProxyCommand=id@git.example.com",
        "ssh://git@-oProxyCommand=id",
        "ssh://git:secret@git.example.com",
        "ssh://git@git.example.com/-x",
    ],
)
def test_an_address_that_is_none_is_refused_in_words(provider: GitProvider, address: str) -> None:
    with pytest.raises(Unreadable, match=" ") as refused:
        provider.check(at(address))
    assert refused.value.name == "base-url"
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"username": "terrapod"}, "token"),
        ({"token": "two\nlines"}, "token"),
        ({"username": "a:b", "token": "x"}, "username"),
        ({"ssh_key": "x"}, "ssh-key"),
        ({"known_hosts": "x"}, "known-hosts"),
        ({"token": "x", "check_repository": "https://elsewhere.example.com/x"}, "check-repository"),
    ],
)
def test_values_that_https_cannot_use_are_refused_by_name(provider: GitProvider, values: dict[str, str], name: str) -> None:
    with pytest.raises(Unreadable, match=" ") as refused:
        provider.check(at("https://git.example.com", **values))
    assert refused.value.name == name


def test_values_that_ssh_cannot_use_are_refused_by_name(provider: GitProvider, ssh: Connection, sshd: GitSshd) -> None:
    def refused(**changes: str) -> str | None:
        values = {**ssh.values, **{name.replace("_", "-"): value for name, value in changes.items()}}
        with pytest.raises(Unreadable, match=" ") as error:
            provider.check(replace(ssh, values=values))
        assert sshd.private().splitlines()[2] not in str(error.value)
        return error.value.name

    assert refused(ssh_key="") == "ssh-key"
    assert refused(ssh_key=(sshd.directory / "user.pub").read_text()) == "ssh-key"
    assert refused(ssh_key=sshd.private("locked")) == "ssh-key"
    assert refused(ssh_key=sshd.private().replace("b3BlbnNzaC", "%%%%%%%%%%")) == "ssh-key"
    assert refused(known_hosts="") == "known-hosts"
    assert refused(known_hosts="# only a comment") == "known-hosts"
    assert refused(known_hosts="git.example.com") == "known-hosts"
    assert refused(token="x") == "token"


def test_a_key_pasted_on_windows_is_one(provider: GitProvider, ssh: Connection) -> None:
    provider.check(replace(ssh, values={name: value.replace("\n", "\r\n").rstrip() for name, value in ssh.values.items()}))


def test_ssh_is_refused_where_requests_go_through_a_proxy(ssh: Connection, tmp_path: Path) -> None:
    behind = GitProvider(GitSettings(), http_clients(proxy="http://proxy.example.com:3128"), tmp_path / "vcs-git")
    with pytest.raises(Unreadable, match="proxy"):
        behind.check(ssh)


@pytest.mark.parametrize("name", ["ask_seconds", "fetch_seconds", "max_bytes", "at_once"])
def test_settings_that_cannot_work_are_refused_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        GitSettings(**{name: 0})


def test_the_plugin_registers_one_provider_and_makes_no_directory(plugin_context: PluginContext) -> None:
    settings: Callable[[], GitSettings] = register_settings()
    found = register_vcs_providers(replace(plugin_context, settings=settings()))
    providers: list[VCSProvider] = list(found)
    assert [each.name for each in providers] == ["git"]
    assert not list(plugin_context.data_dir.iterdir())
