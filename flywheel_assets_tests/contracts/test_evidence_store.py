"""What every evidence store holds to: the folder and the fake."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.adapters.evidence.folder import FolderEvidence
from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import EvidenceCorruptError, EvidenceMissingError, EvidenceRolledBackError
from flywheel_assets.ports import EvidenceStore, LogEntry
from flywheel_assets_tests.fakes import FakeEvidence

ONE, TWO = EvidenceDigest.of(b"one"), EvidenceDigest.of(b"two")


@dataclass
class Bench:
    """A store, and the ways in which the world harms it."""

    store: EvidenceStore
    alter: Callable[[EvidenceDigest], object]
    lose: Callable[[EvidenceDigest], object]
    cut: Callable[[str], object]


def on_folder(folder: Path) -> Bench:
    store = FolderEvidence(folder / "evidence", folder / "seen", key_file(folder / "key.pem"), SignatureVerifier())

    def blob(digest: EvidenceDigest) -> Path:
        return folder / "evidence/blobs/sha256" / digest.hex[:2] / digest.hex

    return Bench(
        store,
        alter=lambda digest: blob(digest).write_bytes(b"altered"),
        lose=lambda digest: blob(digest).unlink(),
        cut=lambda log: max((folder / "evidence/logs" / log).iterdir()).unlink(),
    )


def in_memory(_folder: Path) -> Bench:
    store = FakeEvidence()
    return Bench(
        store,
        alter=lambda digest: store.blobs.update({digest: b"altered"}),
        lose=store.blobs.pop,
        cut=lambda log: store.chains[log].pop(),
    )


@pytest.fixture(params=[on_folder, in_memory])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made: Bench = request.param(tmp_path)
    return made


@pytest.mark.parametrize("data", [b"", b"one", bytes(range(256)) * 5000])
def test_what_is_put_is_got_again_under_its_digest(bench: Bench, data: bytes) -> None:
    digest = bench.store.put(data)
    assert digest == EvidenceDigest.of(data)
    assert bench.store.put(data) == digest
    assert bench.store.get(digest) == data


def test_what_was_never_put_is_missing(bench: Bench) -> None:
    with pytest.raises(EvidenceMissingError):
        bench.store.get(ONE)


def test_what_was_altered_is_corrupt_and_what_was_removed_is_missing(bench: Bench) -> None:
    digest = bench.store.put(b"whole")
    bench.alter(digest)
    with pytest.raises(EvidenceCorruptError):
        bench.store.get(digest)
    bench.lose(digest)
    with pytest.raises(EvidenceMissingError):
        bench.store.get(digest)
    assert bench.store.get(bench.store.put(b"whole")) == b"whole", "it can be put again"


def test_entries_are_numbered_in_the_order_of_arrival(bench: Bench) -> None:
    added = [bench.store.append("a", "kind", subject, ONE) for subject in ("x", "y", "z")]
    assert added == [LogEntry(1, "kind", "x", ONE), LogEntry(2, "kind", "y", ONE), LogEntry(3, "kind", "z", ONE)]
    assert bench.store.entries("a") == tuple(added)


def test_the_same_entry_is_there_once_however_often_it_is_added(bench: Bench) -> None:
    first = bench.store.append("a", "kind", "x", ONE)
    others = [bench.store.append("a", *rest) for rest in (("other", "x", ONE), ("kind", "y", ONE), ("kind", "x", TWO))]
    assert [entry.number for entry in others] == [2, 3, 4]
    assert bench.store.append("a", "kind", "x", ONE) == first
    assert len(bench.store.entries("a")) == 4


def test_a_log_that_nobody_wrote_is_empty_and_not_listed(bench: Bench) -> None:
    assert bench.store.entries("a") == ()
    assert bench.store.logs() == ()
    bench.store.append("b", "kind", "x", ONE)
    bench.store.append("a", "kind", "x", ONE)
    assert bench.store.logs() == ("a", "b")
    assert bench.store.entries("b") == (LogEntry(1, "kind", "x", ONE),)


def test_a_log_that_was_cut_is_never_believed_again(bench: Bench) -> None:
    bench.store.append("a", "kind", "x", ONE)
    bench.store.append("a", "kind", "y", ONE)
    bench.cut("a")
    with pytest.raises(EvidenceRolledBackError):
        bench.store.entries("a")
    with pytest.raises(EvidenceRolledBackError):
        bench.store.append("a", "kind", "z", ONE)
    assert bench.store.logs() == ("a",)


def test_a_slot_keeps_what_was_made_first(bench: Bench) -> None:
    assert bench.store.slot("name", lambda: b"first") == b"first"
    assert bench.store.slot("name", lambda: b"second") == b"first"
    assert bench.store.slot("other", lambda: b"second") == b"second"


class BrokenError(Exception):
    """Making failed."""


def test_a_slot_whose_making_failed_is_free_still(bench: Bench) -> None:
    def fail() -> bytes:
        raise BrokenError

    with pytest.raises(BrokenError):
        bench.store.slot("name", fail)
    assert bench.store.slot("name", lambda: b"made") == b"made"


def test_many_who_want_one_slot_get_the_same_bytes(bench: Bench) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda number: bench.store.slot("name", lambda: b"%d" % number), range(40)))
    assert len(found) == 1
    assert bench.store.slot("name", lambda: b"late") in found


def test_a_claim_keeps_others_waiting_until_it_ends(bench: Bench) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def other() -> None:
        waiting.set()
        with bench.store.claim("name"):
            order.append("other")

    with bench.store.claim("name") as still_held:
        thread = threading.Thread(target=other)
        thread.start()
        waiting.wait()
        thread.join(0.05)
        with bench.store.claim("another name"):
            order.append("first")
        still_held()
    thread.join()
    assert order == ["first", "other"]


def test_a_claim_ends_with_an_error_too(bench: Bench) -> None:
    with pytest.raises(BrokenError), bench.store.claim("name"):
        raise BrokenError
    with bench.store.claim("name") as still_held:
        still_held()
