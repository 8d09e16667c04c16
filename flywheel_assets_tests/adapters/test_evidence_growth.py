"""Logs that grow by thousands: an append reads the end alone, notices what was changed there, and tells its time."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from flywheel_assets.adapters.evidence.folder import ENTRY_TYPE, FolderEvidence
from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceCorruptError, EvidenceRolledBackError
from flywheel_assets.domain.statements import canonical
from flywheel_assets_tests.fakes import FakeClock

ONE = EvidenceDigest.of(b"one")


def opened(folder: Path, clock: FakeClock | None = None) -> FolderEvidence:
    signer = key_file(folder / "verifier.pem")
    return FolderEvidence(
        folder / "evidence", folder / "checkpoints", signer, SignatureVerifier(), clock or FakeClock()
    )


def entry(folder: Path, number: int) -> Path:
    return folder / "evidence/logs/log" / f"{number:08}.json"


def test_an_append_reads_as_much_of_a_long_log_as_of_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole = opened(tmp_path), Path.read_bytes
    read: list[str] = []

    def counting(path: Path) -> bytes:
        read.append(path.name)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    counts = []
    for number in range(40):
        read.clear()
        store.append("log", "kind", str(number), ONE)
        counts.append(len(read))
    assert max(counts[5:]) == min(counts[5:]) <= 5
    assert [each.subject for each in store.entries("log")] == [str(number) for number in range(40)]


def test_what_another_process_added_is_caught_up_with_and_verified(tmp_path: Path) -> None:
    mine, other = opened(tmp_path), opened(tmp_path)
    for number in range(6):
        (mine if number % 2 else other).append("log", "kind", str(number), ONE)
    assert mine.append("log", "kind", "0", ONE).number == 1, "it is there already"
    entry(tmp_path, 6).write_bytes(entry(tmp_path, 5).read_bytes())
    with pytest.raises(EvidenceCorruptError):
        other.append("log", "kind", "more", ONE)


def test_an_append_to_a_log_whose_end_was_cut_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(3):
        store.append("log", "kind", str(number), ONE)
    entry(tmp_path, 3).unlink()
    with pytest.raises(EvidenceRolledBackError):
        store.append("log", "kind", "more", ONE)
    assert not entry(tmp_path, 3).exists()


def test_an_entry_tells_its_time_in_utc_to_the_second_and_a_repeated_append_keeps_the_first(tmp_path: Path) -> None:
    clock = FakeClock(datetime(2026, 11, 25, 12, 30, 1, 999, timezone(timedelta(hours=2))))
    store = opened(tmp_path, clock)
    store.append("log", "kind", "x", ONE)
    clock.move(hours=1)
    store.append("log", "kind", "x", ONE)
    (found,) = opened(tmp_path).entries("log")
    assert found.at == datetime(2026, 11, 25, 10, 30, 1, tzinfo=UTC)


def test_the_time_is_signed_with_its_entry(tmp_path: Path) -> None:
    opened(tmp_path).append("log", "kind", "x", ONE)
    envelope = json.loads(entry(tmp_path, 1).read_bytes())
    assert json.loads(b64decode(envelope["payload"]))["at"] == "2026-11-23T12:00:00+00:00"


@pytest.mark.parametrize("at", ["yesterday", 5, None, "2026-11-23T14:00:00+02:00:00.5"])
def test_a_time_that_is_none_makes_an_entry_unreadable(tmp_path: Path, at: object) -> None:
    signed(tmp_path, {"at": at})
    with pytest.raises(EvidenceCorruptError):
        opened(tmp_path).entries("log")


def test_an_entry_from_before_logs_told_the_time_is_valid(tmp_path: Path) -> None:
    signed(tmp_path, {})
    (found,) = opened(tmp_path).entries("log")
    assert (found.subject, found.at) == ("x", None)
    assert opened(tmp_path).append("log", "kind", "y", ONE).number == 2


def signed(folder: Path, more: dict[str, object]) -> None:
    """A first entry by the right key, with other fields."""
    fields = {"log": "log", "number": 1, "kind": "kind", "subject": "x", "evidence": str(ONE), "previous": "", **more}
    entry(folder, 1).parent.mkdir(parents=True)
    entry(folder, 1).write_bytes(key_file(folder / "verifier.pem").sign(canonical(fields), ENTRY_TYPE))
