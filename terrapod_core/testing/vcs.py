"""Whether a VCS provider keeps its contract."""

from __future__ import annotations

import asyncio
import io
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import pytest

from terrapod_core.plugin import (
    BadSignature,
    CommitState,
    CommitStatus,
    Connection,
    OutgoingError,
    RefKind,
    Repo,
    SupportsChangedFiles,
    SupportsComments,
    SupportsCommitStatuses,
    SupportsInstallations,
    SupportsListing,
    SupportsPullRequests,
    SupportsWebhooks,
    Unreadable,
    VCSClient,
    VCSDenied,
    VCSEvent,
    VCSFailed,
    VCSMissing,
    VCSProvider,
)

BOTH = frozenset(RefKind)
NOWHERE = "0" * 39 + "1"
"""A commit that nobody made."""

Trouble = Callable[[], AbstractContextManager[object]]
"""Something goes wrong with the forge as long as the block lasts."""


@dataclass(frozen=True)
class Sample:
    """A repository that the forge has, with at least two commits on `branch`, of which `tag` is the newest or an earlier one."""

    repo: Repo
    texts: Sequence[str]
    """Ways in which people write where it is: its path, the URL of its page, the URL for cloning."""
    branch: str
    """Its default branch."""
    sha: str
    """That branch's newest commit."""
    parent: str
    """The commit before it."""
    message: str
    """Of the newest commit."""
    changed: frozenset[str]
    """Paths that the newest commit changed."""
    files: Mapping[str, bytes]
    """The tree of the newest commit, by path."""
    tag: str
    tagged: str
    """The commit that the tag is of."""
    pull: tuple[int, str] | None = None
    """Number and head SHA of the one open pull request; `None` when there is none."""
    webhook: tuple[Mapping[str, str], bytes] | None = None
    """A webhook about a push to it, signed with `secret`; `None` when the forge sends none."""
    ping: tuple[Mapping[str, str], bytes] | None = None
    """One that means nothing, signed with it."""
    secret: str = ""


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The files of a gzip tar, without the directory at its top."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        names = [member.name for member in tar if not member.name.startswith("pax_global")]
        assert len({name.partition("/")[0] for name in names}) == 1, "everything is below one directory"
        found = {}
        for member in tar:
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                found[member.name.partition("/")[2]] = content.read()
        return found


async def archived(client: VCSClient, repo: Repo, sha: str, paths: Sequence[str] = ()) -> bytes:
    """An archive in one piece."""
    return b"".join([piece async for piece in client.archive(repo, sha, paths)])


@pytest.mark.asyncio
class VCSProviderKit:
    """Extend it, and fill the fixtures `provider`, `connection`, `sample`, `stopped`, and what else the forge can do."""

    @pytest.fixture
    def provider(self) -> VCSProvider:
        """The provider under test."""
        pytest.fail("give the kit a provider: override the fixture `provider`")

    @pytest.fixture
    def connection(self) -> Connection:
        """A connection whose credentials may read and write the sample."""
        pytest.fail("give the kit a connection: override the fixture `connection`")

    @pytest.fixture
    def refused(self) -> Connection | None:
        """One whose credentials the forge does not accept; `None` where there are none."""
        pytest.fail("give the kit a connection that is refused: override the fixture `refused`")

    @pytest.fixture
    def sample(self) -> Sample:
        """A repository that the forge has."""
        pytest.fail("give the kit a repository: override the fixture `sample`")

    @pytest.fixture
    def stopped(self) -> Trouble:
        """Takes the forge away."""
        pytest.fail("give the kit a way to take the forge away: override the fixture `stopped`")

    # -- what it says without asking

    async def test_it_is_a_vcs_provider_with_a_name(self, provider: VCSProvider) -> None:
        assert isinstance(provider, VCSProvider)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", provider.name)
        assert provider.display_name

    async def test_its_fields_have_names_of_the_wire(self, provider: VCSProvider) -> None:
        names = [each.name for each in provider.fields]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z][a-z0-9-]*", name) for name in names)
        assert not {"name", "provider", "base-url", "repositories", "roles"} & set(names), "names that every connection has"

    async def test_the_connection_is_one(self, provider: VCSProvider, connection: Connection) -> None:
        provider.check(connection)
        assert set(connection.values) <= {each.name for each in provider.fields}

    async def test_a_connection_without_credentials_is_refused_in_words(self, provider: VCSProvider, connection: Connection) -> None:
        if not any(each.required or each.secret for each in provider.fields):
            pytest.skip("it needs none")
        with pytest.raises(Unreadable, match=" "):
            provider.check(replace(connection, values={}))

    async def test_a_repository_is_read_from_whatever_people_write(
        self, provider: VCSProvider, connection: Connection, sample: Sample
    ) -> None:
        assert {provider.repository(connection, text) for text in sample.texts} == {sample.repo}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "/",
            "..",
            "a/../b",
            "-x/y",
            "--upload-pack=id",
            "https://elsewhere.invalid/org/repo",
            "file:///etc",
            "ext::sh -c id",
            "a\nb/c",
        ],
    )
    async def test_what_is_no_repository_of_the_forge_is_refused_in_words(
        self, provider: VCSProvider, connection: Connection, text: str
    ) -> None:
        with pytest.raises(Unreadable, match=" "):
            provider.repository(connection, text)

    async def test_a_connection_does_not_show_its_secrets(self, connection: Connection) -> None:
        assert not any(value in repr(connection) for value in connection.values.values() if len(value) > 8)

    # -- reading

    async def test_the_account_has_a_name(self, provider: VCSProvider, connection: Connection) -> None:
        async with provider.client(connection) as client:
            assert await client.account()

    async def test_a_repository_is_told_of(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            info = await client.repository(sample.repo)
        assert (info.repo, info.default_branch) == (sample.repo, sample.branch)
        assert provider.repository(connection, info.clone_url) == sample.repo

    async def test_branches_and_tags_name_commits(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            refs = await client.refs(sample.repo, BOTH, None)
            assert refs is not None
            assert refs.branches[sample.branch] == sample.sha
            assert refs.tags[sample.tag] == sample.tagged
            only = await client.refs(sample.repo, frozenset({RefKind.TAG}), None)
            assert only is not None
            assert (dict(only.branches), only.tags) == ({}, refs.tags)

    async def test_refs_that_have_not_changed_are_nothing_new(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            refs = await client.refs(sample.repo, BOTH, None)
            assert refs is not None
            if refs.validator is None:
                pytest.skip("it has no validators")
            assert await client.refs(sample.repo, BOTH, refs.validator) is None
            again = await client.refs(sample.repo, BOTH, '"another"')
            assert again is not None
            assert again.branches == refs.branches

    async def test_a_commit_is_told_of(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            commit = await client.commit(sample.repo, sample.sha)
        assert (commit.sha, commit.message.strip()) == (sample.sha, sample.message)

    async def test_what_is_not_there_is_missing(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        absent = Repo(f"{sample.repo.path}-that-nobody-made")
        async with provider.client(connection) as client:
            for ask in (
                lambda: client.repository(absent),
                lambda: client.refs(absent, BOTH, None),
                lambda: client.commit(sample.repo, NOWHERE),
                lambda: archived(client, absent, sample.sha),
                lambda: archived(client, sample.repo, NOWHERE),
            ):
                with pytest.raises(VCSMissing) as missing:
                    await ask()
                assert str(missing.value).endswith("."), "a sentence for the person who asked"

    # -- bytes

    async def test_an_archive_has_the_tree_of_its_commit(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            assert unpacked(await archived(client, sample.repo, sample.sha)) == dict(sample.files)
            earlier = unpacked(await archived(client, sample.repo, sample.parent))
            assert earlier != dict(sample.files)

    async def test_an_archive_of_some_directories_has_them_whole(
        self, provider: VCSProvider, connection: Connection, sample: Sample
    ) -> None:
        folder = next((name.rpartition("/")[0] for name in sorted(sample.files) if "/" in name), None)
        if folder is None:
            pytest.skip("the sample has no directory")
        async with provider.client(connection) as client:
            found = unpacked(await archived(client, sample.repo, sample.sha, [folder]))
        wanted = {name: content for name, content in sample.files.items() if name.startswith(f"{folder}/")}
        assert wanted.items() <= found.items()
        assert found.items() <= sample.files.items()

    async def test_an_archive_may_be_left_before_its_end(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            pieces = client.archive(sample.repo, sample.sha, ())
            assert await anext(pieces)
            await pieces.aclose()  # type: ignore[attr-defined]
            assert unpacked(await archived(client, sample.repo, sample.sha)) == dict(sample.files)

    async def test_much_can_be_asked_at_once(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            found = await asyncio.gather(*(client.commit(sample.repo, sample.sha) for _ in range(8)))
        assert {each.sha for each in found} == {sample.sha}

    # -- bad days

    async def test_credentials_that_are_refused_are_denied_in_words(
        self, provider: VCSProvider, refused: Connection | None, sample: Sample
    ) -> None:
        if refused is None:
            pytest.skip("it has no credentials")
        async with provider.client(refused) as client:
            for ask in (
                client.account,
                lambda: client.refs(sample.repo, BOTH, None),
                lambda: client.commit(sample.repo, sample.sha),
                lambda: archived(client, sample.repo, sample.sha),
            ):
                with pytest.raises(VCSDenied) as denied:
                    await ask()
                assert str(denied.value).endswith(".")
                assert not any(value in str(denied.value) for value in refused.values.values() if len(value) > 8)

    async def test_a_forge_that_is_away_has_failed_and_is_named(
        self, provider: VCSProvider, connection: Connection, sample: Sample, stopped: Trouble
    ) -> None:
        async with provider.client(connection) as client:
            await client.refs(sample.repo, BOTH, None)
        with stopped():
            for ask in ("refs", "commit", "archive"):
                async with provider.client(connection) as client:
                    with pytest.raises((VCSFailed, OutgoingError)) as failed:
                        await self._ask(client, ask, sample)
                    assert ":" in str(failed.value), "the host, and the reason"
                    assert not any(value in str(failed.value) for value in connection.values.values() if len(value) > 8)
        async with provider.client(connection) as client:
            assert (await client.commit(sample.repo, sample.sha)).sha == sample.sha

    async def _ask(self, client: VCSClient, what: str, sample: Sample) -> object:
        if what == "refs":
            return await client.refs(sample.repo, BOTH, None)
        if what == "commit":
            return await client.commit(sample.repo, sample.sha)
        return await archived(client, sample.repo, sample.sha)

    # -- webhooks

    async def test_a_signed_webhook_names_its_repository(self, provider: VCSProvider, sample: Sample) -> None:
        if not isinstance(provider, SupportsWebhooks) or sample.webhook is None:
            pytest.skip("it does not claim SupportsWebhooks")
        event = provider.parse_webhook(*sample.webhook, sample.secret)
        assert isinstance(event, VCSEvent)
        assert event.repo == sample.repo
        upper = {name.upper(): value for name, value in sample.webhook[0].items()}
        assert provider.parse_webhook(_AnyCase(upper), sample.webhook[1], sample.secret) == event

    async def test_a_webhook_that_means_nothing_is_nothing(self, provider: VCSProvider, sample: Sample) -> None:
        if not isinstance(provider, SupportsWebhooks) or sample.ping is None:
            pytest.skip("it does not claim SupportsWebhooks")
        assert provider.parse_webhook(*sample.ping, sample.secret) is None

    async def test_a_webhook_of_others_is_refused(self, provider: VCSProvider, sample: Sample) -> None:
        if not isinstance(provider, SupportsWebhooks) or sample.webhook is None:
            pytest.skip("it does not claim SupportsWebhooks")
        headers, body = sample.webhook
        attempts: list[Callable[[], object]] = [
            lambda: provider.parse_webhook(headers, body, "another secret"),
            lambda: provider.parse_webhook({}, body, sample.secret),
            lambda: provider.parse_webhook({}, b"no json", sample.secret),
            lambda: provider.parse_webhook(dict.fromkeys(headers, "ü"), body, sample.secret),
        ]
        for wrong in attempts:
            with pytest.raises(BadSignature):
                wrong()

    # -- what only some can

    async def test_the_open_pull_request_is_found(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            if not isinstance(client, SupportsPullRequests) or sample.pull is None:
                pytest.skip("it does not claim SupportsPullRequests")
            found = await client.pull_requests(sample.repo, None)
            assert found is not None
            pull = next(each for each in found.items if each.number == sample.pull[0])
            assert (pull.head_sha, pull.base_branch, pull.is_fork) == (sample.pull[1], sample.branch, False)
            assert unpacked(await archived(client, sample.repo, pull.head_sha))
            if found.validator is not None:
                assert await client.pull_requests(sample.repo, found.validator) is None

    async def test_changed_files_are_told(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            if not isinstance(client, SupportsChangedFiles):
                pytest.skip("it does not claim SupportsChangedFiles")
            assert await client.changed_files(sample.repo, sample.parent, sample.sha) == sample.changed
            assert await client.changed_files(sample.repo, sample.sha, sample.sha) == frozenset()

    @pytest.mark.parametrize("state", CommitState)
    async def test_a_commit_is_told_each_state(
        self, provider: VCSProvider, connection: Connection, sample: Sample, state: CommitState
    ) -> None:
        async with provider.client(connection) as client:
            if not isinstance(client, SupportsCommitStatuses):
                pytest.skip("it does not claim SupportsCommitStatuses")
            status = CommitStatus("terrapod/kit", state, "A description with an ü.", "https://terrapod.example.com/app/runs/run-1")
            await client.set_status(sample.repo, sample.sha, status)

    async def test_a_comment_is_written_once_and_then_replaced(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            if not isinstance(client, SupportsComments) or sample.pull is None:
                pytest.skip("it does not claim SupportsComments")
            number = sample.pull[0]
            first = await client.comment(sample.repo, number, "**One**", None)
            assert await client.comment(sample.repo, number, "**Two**", first) == first
            assert await client.comment(sample.repo, number, "**Three**", "987654321") not in ("", first), "deleted by somebody"

    async def test_its_repositories_are_listed(self, provider: VCSProvider, connection: Connection, sample: Sample) -> None:
        async with provider.client(connection) as client:
            if not isinstance(client, SupportsListing):
                pytest.skip("it does not claim SupportsListing")
            assert sample.repo in [each.repo for each in await client.repositories(100)]

    async def test_an_installation_has_a_number(self, provider: VCSProvider, connection: Connection) -> None:
        async with provider.client(connection) as client:
            if not isinstance(client, SupportsInstallations):
                pytest.skip("it does not claim SupportsInstallations")
            found = await client.installation()
        assert found is None or found.id > 0


class _AnyCase(dict[str, str]):
    """Headers that find names in any case, as those of a request do."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())
