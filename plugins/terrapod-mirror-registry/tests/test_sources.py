"""What `X-Terraform-Get` may say."""

from __future__ import annotations

import pytest

from terrapod_mirror_registry.sources import Archive, Unusable, archive_of

BASE = "https://registry.example.com/v1/modules/acme/pet/null/1.0.0/download"
SHA = "ab" * 32

USABLE = {
    "./pet.tar.gz": Archive("https://registry.example.com/v1/modules/acme/pet/null/1.0.0/pet.tar.gz", "tar.gz", ""),
    "../pet.zip": Archive("https://registry.example.com/v1/modules/acme/pet/null/pet.zip", "zip", ""),
    "/files/pet.tgz": Archive("https://registry.example.com/files/pet.tgz", "tar.gz", ""),
    "https://x.example/pet.zip": Archive("https://x.example/pet.zip", "zip", ""),
    "https://x.example/pet.zip//modules/small": Archive("https://x.example/pet.zip", "zip", "modules/small"),
    "https://x.example/pet?archive=zip": Archive("https://x.example/pet", "zip", ""),
    "https://x.example/pet?token=t&archive=tgz": Archive("https://x.example/pet?token=t", "tar.gz", ""),
    "https://x.example/pet//*?archive=tar.gz": Archive("https://x.example/pet", "tar.gz", "*"),
    "https://x.example/pet//*/small?archive=tar.gz": Archive("https://x.example/pet", "tar.gz", "*/small"),
    f"https://x.example/pet.zip?checksum=sha256:{SHA.upper()}": Archive("https://x.example/pet.zip", "zip", "", SHA),
    "git::https://github.com/acme/terraform-null-pet?ref=v1.0.0": Archive(
        "https://github.com/acme/terraform-null-pet/archive/v1.0.0.tar.gz", "tar.gz", "*"
    ),
    "git::https://github.com/acme/terraform-null-pet.git//modules/small?ref=0123abc&depth=1": Archive(
        "https://github.com/acme/terraform-null-pet/archive/0123abc.tar.gz", "tar.gz", "*/modules/small"
    ),
    "github.com/acme/terraform-null-pet?ref=refs/tags/v1": Archive(
        "https://github.com/acme/terraform-null-pet/archive/refs/tags/v1.tar.gz", "tar.gz", "*"
    ),
    "git::https://gitlab.com/acme/tools/pet.git?ref=v1": Archive(
        "https://gitlab.com/acme/tools/pet/-/archive/v1/pet-v1.tar.gz", "tar.gz", "*"
    ),
    "git::https://github.com/acme/pet?ref=v1.0.0%2Bbuild": Archive(
        "https://github.com/acme/pet/archive/v1.0.0%2Bbuild.tar.gz", "tar.gz", "*"
    ),
}

UNUSABLE = {
    "": "cannot be read",
    "https://x.example/a b.zip": "cannot be read",
    "https://x.example/\x1b[2J.zip": "cannot be read",
    "https://x.example/" + "a" * 5000 + ".zip": "cannot be read",
    "pet.zip": "is no URL",
    "bitbucket.org/acme/pet": "is no URL",
    "git@github.com:acme/pet.git": "is no URL",
    "http://x.example/pet.zip": "is fetched by http, and only archives by https are cached",
    "file:///etc/passwd": "is fetched by file",
    "s3::https://s3.amazonaws.com/bucket/pet.zip": "is fetched by s3",
    "hg::https://x.example/pet": "is fetched by hg",
    "git::ssh://git@github.com/acme/pet.git?ref=v1": "is fetched by git over ssh",
    "git::git@github.com:acme/pet.git": "is fetched by git over ssh",
    "git::http://github.com/acme/pet?ref=v1": "is fetched by git over http",
    "git::ext::sh -c id": "cannot be read",
    "git::ext::sh": "is fetched by git over",
    "git::file:///srv/pet?ref=v1": "is fetched by git over file",
    "git::https://example.com/acme/pet?ref=v1": "is a repository at example.com",
    "git::https://github.com:8443/acme/pet?ref=v1": "is a repository at github.com:8443",
    "git::https://token@github.com/acme/pet?ref=v1": "has a source with a user or a password in it",
    "https://u:hunter2@x.example/pet.zip": "has a source with a user or a password in it",
    "https://x.example/pet.zip#fragment": "has a source with a fragment",
    "https://[x/pet.zip": "cannot be read",
    "//[x/pet.zip": "cannot be read",
    "https:///pet.zip": "only archives by https",
    "git::https://github.com/acme?ref=v1": "in what is no repository",
    "git::https://github.com/acme/pet/more?ref=v1": "in what is no repository",
    "git::https://github.com/acme/..?ref=v1": "in what is no repository",
    "git::https://github.com/acme/pet": "names no ref",
    "git::https://github.com/acme/pet?ref=--upload-pack=x": "names a ref '--upload-pack=x', which is none",
    "git::https://github.com/acme/pet?ref=../../x": "names a ref",
    "git::https://github.com/acme/pet?ref=v1&sshkey=x": "wants sshkey of git",
    "https://x.example/pet": "is no archive",
    "https://x.example/pet.git": "is no archive",
    "https://x.example/pet?archive=tar.xz": "is packed as 'tar.xz'",
    "https://x.example/pet.zip?archive=false": "is packed as 'false'",
    "https://x.example/pet.zip?checksum=md5:00": "has a checksum that is no SHA-256",
    "https://x.example/pet.zip//../../etc": "is in a folder called '../../etc'",
    "https://x.example/pet.zip//a/*": "is in a folder called 'a/*'",
    "https://x.example/pet.zip//a..b/c": "is in a folder called",
}


@pytest.mark.parametrize("get", USABLE)
def test_an_archive_by_https_is_fetched(get: str) -> None:
    assert archive_of(get, BASE) == USABLE[get]


@pytest.mark.parametrize("get", UNUSABLE)
def test_everything_else_is_refused_with_the_reason(get: str) -> None:
    with pytest.raises(Unusable) as refused:
        archive_of(get, BASE)
    assert UNUSABLE[get] in str(refused.value)
    assert "hunter2" not in str(refused.value)
