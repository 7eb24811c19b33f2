"""Checkpoints in a file: appended, found again, and told from everything else that is in a log."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from terrapod_core.audit.anchors import AnchorFile, checkpoint_of, read_anchors
from terrapod_core.audit.checkpoints import Checkpoint, CheckpointKeys, Trust
from terrapod_core.audit.models import AuditCheckpoint
from terrapod_core.errors import BadRequest
from terrapod_core.secrets import Keyring, new_key

KEYRING = Keyring(new_key())


def checkpoint(number: int, chain: str = "c1", keyring: Keyring = KEYRING) -> Checkpoint:
    row = AuditCheckpoint(seal_no=number, chain_id=chain, segment=1, hash="ab", count=1, at=datetime(2026, 1, 1, tzinfo=UTC))
    CheckpointKeys(keyring).sign(row)
    return Checkpoint.of(row)


def test_lines_are_appended_and_the_newest_is_found(tmp_path: Path) -> None:
    file = AnchorFile(tmp_path / "anchors")
    assert file.newest("c1") == 0
    file.append([checkpoint(1), checkpoint(2)])
    file.append([checkpoint(7), checkpoint(99, "c2")])
    assert (file.newest("c1"), file.newest("c2"), file.newest("c3")) == (7, 99, 0)
    assert [(line, each.seal_no) for line, each in read_anchors(file.path)] == [(1, 1), (2, 2), (3, 7), (4, 99)]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    file = AnchorFile(tmp_path / "anchors")
    file.append([checkpoint(1)])
    file.path.write_bytes(file.path.read_bytes() + checkpoint(2).line()[:40])
    file.append([checkpoint(2)])
    assert [each.seal_no for _, each in read_anchors(file.path)] == [1, 2]


def test_the_newest_line_of_a_long_file_is_found(tmp_path: Path) -> None:
    file = AnchorFile(tmp_path / "anchors")
    file.append([checkpoint(number) for number in range(1, 400)])
    assert file.newest("c1") == 399


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"audit checkpoint",
        b'"audit checkpoint"',
        b'["audit checkpoint"]',
        b'{"event":"audit checkpoint"}',
        b'{"event":"x","y":"audit checkpoint"}',
    ],
)
def test_other_lines_are_passed_over(line: bytes) -> None:
    assert checkpoint_of(line) is None


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be read: No such file"):
        list(read_anchors(tmp_path / "nothing"))


def test_a_signature_holds_for_what_was_signed_alone() -> None:
    keys, signed = CheckpointKeys(KEYRING), checkpoint(5)
    assert keys.judge(signed) is Trust.VALID
    values = {name: getattr(signed, name) for name in signed.__struct_fields__}
    other = {
        "chain": "c2",
        "segment": 2,
        "seal_no": 6,
        "hash": "ac",
        "count": 2,
        "time": "2026-01-02T00:00:00.000000+00:00",
        "signature": "zz",
    }
    for name, value in other.items():
        assert keys.judge(Checkpoint(**values | {name: value})) is Trust.FORGED, name


def test_a_signature_under_another_key_is_judged_by_its_name() -> None:
    strange = Keyring(new_key())
    assert CheckpointKeys(KEYRING).judge(checkpoint(5, keyring=strange)) is Trust.KEY_NOT_GIVEN
    namesake = Keyring(f"{KEYRING.newest}:{new_key().partition(':')[2]}")
    assert CheckpointKeys(KEYRING).judge(checkpoint(5, keyring=namesake)) is Trust.FORGED


def test_the_signing_key_is_no_other_purposes_key() -> None:
    assert KEYRING.derive("audit-checkpoint").hex() not in checkpoint(1).line().decode()
    assert KEYRING.derive("audit-checkpoint") != KEYRING.derive("capability")
