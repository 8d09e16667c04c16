"""Evidence on a folder that others may write to: what is altered, cut, swapped or forged there is noticed."""

import base64
import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel_assets.adapters.evidence.folder import ENTRY_TYPE, FolderEvidence
from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import (
    EvidenceCorruptError,
    EvidenceError,
    EvidenceMissingError,
    EvidenceRolledBackError,
    FlywheelError,
    UnreadableError,
)
from flywheel_assets.domain.statements import canonical

SPAWN = multiprocessing.get_context("spawn")
EVIDENCE = EvidenceDigest.of(b"evidence")


@dataclass
class Place:
    """A folder of evidence, opened anew for each look, as a new process would."""

    folder: Path

    def open(self) -> FolderEvidence:
        signer = key_file(self.folder / "keys/verifier.pem")
        return FolderEvidence(self.folder / "evidence", self.folder / "checkpoints", signer, SignatureVerifier())

    def fill(self, count: int = 4, log: str = "log") -> None:
        store = self.open()
        for number in range(count):
            store.append(log, "kind", f"subject {number}", store.put(b"%d" % number))

    def entry(self, number: int, log: str = "log") -> Path:
        return self.folder / "evidence/logs" / log / f"{number:08}.json"

    def blob(self, digest: EvidenceDigest) -> Path:
        return self.folder / "evidence/blobs/sha256" / digest.hex[:2] / digest.hex

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoints/log.json"

    def refuses(self, error: type[EvidenceError], match: str) -> None:
        """A new process refuses the log, and neither reads nor lengthens it."""
        with pytest.raises(error, match=match):
            self.open().entries("log")
        with pytest.raises(error, match=match):
            self.open().append("log", "kind", "subject", EVIDENCE)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# Blobs


def test_every_read_is_hashed(place: Place) -> None:
    store = place.open()
    digest = store.put(b"evidence")
    for position in range(len(b"evidence")):
        data = bytearray(b"evidence")
        data[position] ^= 1
        place.blob(digest).write_bytes(data)
        with pytest.raises(EvidenceCorruptError, match=f"^Evidence {digest} reads back with another digest"):
            store.get(digest)
    place.blob(digest).unlink()
    with pytest.raises(EvidenceMissingError, match=f"^The evidence {digest} is gone from the store\\.$"):
        store.get(digest)


def test_a_blob_that_cannot_be_read_is_no_missing_one(place: Place) -> None:
    store = place.open()
    digest = store.put(b"evidence")
    place.blob(digest).unlink()
    place.blob(digest).mkdir()
    with pytest.raises(EvidenceCorruptError, match="cannot be read"):
        store.get(digest)


def test_putting_again_mends_a_blob_that_was_cut_short(place: Place) -> None:
    digest = place.open().put(b"evidence")
    place.blob(digest).write_bytes(b"evi")
    assert place.open().put(b"evidence") == digest
    assert place.open().get(digest) == b"evidence"


# Logs


def test_a_log_reads_the_same_in_another_process(place: Place) -> None:
    place.fill()
    assert [entry.subject for entry in place.open().entries("log")] == [f"subject {n}" for n in range(4)]
    assert place.open().logs() == ("log",)


def test_each_entry_names_its_predecessor(place: Place) -> None:
    place.fill(3)
    payloads = [SignatureVerifier().check(place.entry(n).read_bytes(), "entry", {}).payload for n in (1, 2, 3)]
    previous = [json.loads(payload)["previous"] for payload in payloads]
    digests = [str(EvidenceDigest.of(place.entry(number).read_bytes())) for number in (1, 2)]
    assert previous == ["", *digests]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_gap_is_noticed(place: Place, number: int) -> None:
    place.fill()
    place.entry(number).unlink()
    place.refuses(EvidenceMissingError, rf"[Ee]ntry {number} of the evidence log log is gone")


def swap(place: Place, one: int, other: int) -> None:
    first, second = place.entry(one).read_bytes(), place.entry(other).read_bytes()
    place.entry(one).write_bytes(second)
    place.entry(other).write_bytes(first)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 3), (3, 4), (1, 4)])
def test_swapped_entries_are_noticed(place: Place, one: int, other: int) -> None:
    place.fill()
    swap(place, one, other)
    place.refuses(EvidenceCorruptError, "does not follow its predecessor")


def test_a_process_that_has_read_a_log_before_notices_swapped_and_doubled_entries_too(place: Place) -> None:
    """What was verified once was verified in its place, and is no more than that."""
    place.fill()
    store = place.open()
    store.entries("log")
    swap(place, 1, 2)
    with pytest.raises(EvidenceCorruptError, match="does not follow its predecessor"):
        store.entries("log")
    swap(place, 1, 2)
    assert len(store.entries("log")) == 4
    place.entry(2).write_bytes(place.entry(1).read_bytes())
    with pytest.raises(EvidenceCorruptError, match="does not follow its predecessor"):
        store.entries("log")


def test_an_entry_of_another_log_is_noticed_by_a_process_that_knows_it(place: Place) -> None:
    place.fill(1)
    place.fill(1, "other")
    store = place.open()
    store.entries("other")
    place.checkpoint.unlink()
    place.entry(1).write_bytes(place.entry(1, "other").read_bytes())
    with pytest.raises(EvidenceCorruptError, match="does not follow its predecessor"):
        store.entries("log")


@pytest.mark.parametrize("payload_type", [ENTRY_TYPE, "application/vnd.in-toto+json"])
def test_an_entry_by_another_key_or_of_another_type_is_forged(place: Place, payload_type: str) -> None:
    place.fill()
    payload = SignatureVerifier().check(place.entry(4).read_bytes(), "entry", {}).payload
    key = "verifier" if payload_type != ENTRY_TYPE else "stranger"
    place.entry(4).write_bytes(key_file(place.folder / f"keys/{key}.pem").sign(payload, payload_type))
    place.refuses(EvidenceCorruptError, "is not signed by this installation's verifier key")


def test_an_entry_whose_content_was_changed_is_noticed(place: Place) -> None:
    place.fill()
    fields = json.loads(SignatureVerifier().check(place.entry(2).read_bytes(), "entry", {}).payload)
    envelope = json.loads(place.entry(2).read_bytes())
    envelope["payload"] = base64.b64encode(canonical({**fields, "subject": "mine"})).decode()
    place.entry(2).write_bytes(canonical(envelope))
    place.refuses(EvidenceCorruptError, "is not signed by this installation's verifier key")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(1, 4), position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_in_a_log_goes_unnoticed(place: Place, where: int, position: float, bit: int) -> None:
    if not place.entry(4).exists():
        place.fill()
    good = place.entry(where).read_bytes()
    data = bytearray(good)
    data[int(position * len(data))] ^= 1 << bit
    place.entry(where).write_bytes(data)
    try:
        with pytest.raises(EvidenceError):
            place.open().entries("log")
    finally:
        place.entry(where).write_bytes(good)
    assert len(place.open().entries("log")) == 4


@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_log_that_was_cut_is_noticed(place: Place, left: int) -> None:
    place.fill()
    for number in range(left + 1, 5):
        place.entry(number).unlink()
    place.refuses(
        EvidenceRolledBackError,
        "^The evidence log log was cut or rewritten: entry 4 is not what was seen before\\.$",
    )


def test_a_log_that_is_gone_with_its_folder_is_noticed_and_still_listed(place: Place) -> None:
    place.fill()
    shutil.rmtree(place.folder / "evidence")
    place.refuses(EvidenceRolledBackError, "was cut or rewritten")
    assert place.open().logs() == ("log",)


def test_a_tail_that_was_rewritten_by_the_right_key_is_noticed(place: Place) -> None:
    place.fill()
    kept = place.checkpoint.read_bytes()
    place.entry(4).unlink()
    third = hashlib.sha256(place.entry(3).read_bytes()).hexdigest()
    place.checkpoint.write_text(json.dumps({"number": 3, "digest": f"sha256:{third}"}))
    place.open().append("log", "kind", "another", EVIDENCE)
    place.checkpoint.write_bytes(kept)
    place.refuses(EvidenceRolledBackError, "entry 4 is not what was seen before")


def test_a_log_whose_checkpoint_is_gone_may_have_been_cut_and_is_refused(place: Place) -> None:
    place.fill()
    place.checkpoint.unlink()
    place.refuses(EvidenceRolledBackError, "checkpoint of the evidence log log is gone")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b"{}", b'{"number":"x","digest":1}', b"\xff"])
def test_a_checkpoint_that_cannot_be_read_is_no_missing_one(place: Place, data: bytes) -> None:
    place.fill()
    place.checkpoint.write_bytes(data)
    place.refuses(EvidenceCorruptError, r"^The checkpoint .*log\.json cannot be read; restore it from its backup\.$")


def test_a_strange_file_among_the_entries_is_noticed_and_a_half_written_one_is_not(place: Place) -> None:
    place.fill()
    (place.entry(1).parent / ".00000005.json.x.tmp").write_bytes(b"half")
    assert len(place.open().entries("log")) == 4
    (place.entry(1).parent / "README").write_bytes(b"")
    with pytest.raises(EvidenceError):
        place.open().entries("log")


# Several processes


def append_many(folder: Path, writer: int, count: int) -> None:
    store = Place(folder).open()
    for number in range(count):
        store.append("log", "kind", f"{writer}.{number}", store.put(b"%d.%d" % (writer, number)))
        store.append("log", "shared", f"{number}", EVIDENCE)


def fill_slot(folder: Path, writer: int) -> None:
    made = Place(folder).open().slot("slot", lambda: os.urandom(1000))
    (folder / f"got.{writer}").write_bytes(made)


def hold_claim(folder: Path) -> None:
    with Place(folder).open().claim("name"):
        (folder / "held").touch()
        time.sleep(60)


def count_under_claim(folder: Path) -> None:
    store, counter = Place(folder).open(), folder / "counter"
    for _ in range(50):
        with store.claim("counter") as still_held:
            number = int(counter.read_text())
            still_held()
            counter.write_text(str(number + 1))


def together(target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
    processes = [SPAWN.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_two_processes_that_append_at_once_make_one_chain_with_nothing_lost_or_doubled(place: Place) -> None:
    place.open()
    together(append_many, [(place.folder, writer, 100) for writer in range(2)])
    entries = place.open().entries("log")
    expected = [("kind", f"{writer}.{number}") for writer in range(2) for number in range(100)]
    expected += [("shared", str(number)) for number in range(100)]
    assert Counter((entry.kind, entry.subject) for entry in entries) == Counter(expected)
    assert [entry.number for entry in entries] == list(range(1, 301))
    for writer in range(2):
        mine = [e.subject for e in entries if e.kind == "kind" and e.subject.startswith(f"{writer}.")]
        assert mine == [f"{writer}.{number}" for number in range(100)]


def test_a_reader_never_takes_a_log_that_grows_for_one_that_was_cut(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process appends between any two looks at the disk."""
    place.fill(2)
    reader, writer = place.open(), place.open()
    added = iter(range(1000))
    read = Path.read_bytes
    children = Path.iterdir

    def append() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", read)
            patch.setattr(Path, "iterdir", children)
            writer.append("log", "kind", f"added {next(added)}", EVIDENCE)

    def reading(path: Path) -> bytes:
        if path.is_relative_to(place.folder):
            append()
        return read(path)

    def listing(path: Path) -> Iterator[Path]:
        found = list(children(path))
        append()
        return iter(found)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", reading)
        patch.setattr(Path, "iterdir", listing)
        assert reader.entries("log")[:2] == writer.entries("log")[:2]
    assert next(added) > 2


def test_many_threads_and_processes_fill_a_slot_once(place: Place) -> None:
    place.open()
    together(fill_slot, [(place.folder, writer) for writer in range(3)])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda writer: fill_slot(place.folder, writer), range(3, 11)))
    assert len({(place.folder / f"got.{writer}").read_bytes() for writer in range(11)}) == 1


def test_threads_that_race_for_a_fresh_slot_get_the_same_bytes(place: Place) -> None:
    store = place.open()
    for number in range(10):
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _, n=number: store.slot(f"slot {n}", lambda: os.urandom(8)), range(8)))
        assert len(found) == 1


def test_a_claim_holds_across_processes(place: Place) -> None:
    place.open()
    (place.folder / "counter").write_text("0")
    together(count_under_claim, [(place.folder,)] * 2)
    assert (place.folder / "counter").read_text() == "100"


def test_a_claim_ends_with_the_process_that_held_it(place: Place) -> None:
    place.open()
    holder = SPAWN.Process(target=hold_claim, args=(place.folder,))
    holder.start()
    waited = time.monotonic() + 60
    while not (place.folder / "held").exists():
        assert time.monotonic() < waited
        time.sleep(0.01)
    got: list[float] = []

    def take() -> None:
        with place.open().claim("name"):
            got.append(time.monotonic())

    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(take)
        time.sleep(0.2)
        assert not got
        assert holder.pid
        os.kill(holder.pid, signal.SIGKILL)
        taking.result(30)
    holder.join()
    assert got


def test_a_claim_whose_file_was_removed_says_so(place: Place) -> None:
    with place.open().claim("the surface") as still_held:
        shutil.rmtree(place.folder / "evidence/claims")
        with pytest.raises(EvidenceMissingError, match=r"^The claim on the surface was removed while it was held"):
            still_held()


# Crashes


class KilledError(BaseException):
    """The process dies here, and cleans nothing up."""


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def harm(patch: pytest.MonkeyPatch, error: BaseException, allowed: int) -> list[str]:
    """Let ``allowed`` steps of writing happen, and then fail each; the steps that were asked for."""
    asked: list[str] = []

    def failing(name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **keywords: Any) -> Any:
            asked.append(name)
            if len(asked) > allowed:
                raise error
            return really(*arguments, **keywords)

        return act

    for owner, name in ((os, "link"), (os, "fsync"), (Path, "replace"), (Path, "mkdir"), (Path, "unlink")):
        patch.setattr(owner, name, failing(name, getattr(owner, name)))
    return asked


def work(store: FolderEvidence) -> None:
    store.append("log", "kind", "one", store.put(b"one"))
    store.append("log", "kind", "two", store.put(b"two"))
    store.slot("slot", lambda: b"made")


@pytest.mark.parametrize("error", [KilledError(), FULL], ids=["killed", "disk full"])
def test_a_crash_at_each_step_of_writing_leaves_a_store_that_reads_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    for allowed in range(200):
        place = Place(tmp_path / str(allowed))
        store = place.open()
        with monkeypatch.context() as patch:
            asked = harm(patch, error, allowed)
            try:
                work(store)
            except (KilledError, UnreadableError):
                stopped = True
            else:
                stopped = False
        entries = place.open().entries("log")
        assert [entry.subject for entry in entries] == ["one", "two"][: len(entries)]
        for entry in entries:
            assert place.open().get(entry.evidence) in {b"one", b"two"}
        work(place.open())
        assert [entry.subject for entry in place.open().entries("log")] == ["one", "two"]
        assert place.open().slot("slot", lambda: b"other") == b"made"
        if not stopped and allowed >= len(asked):
            assert allowed > 10
            return
    pytest.fail("it never came to an end")


def test_a_folder_that_cannot_be_written_is_our_error(place: Place) -> None:
    store = place.open()
    (place.folder / "evidence").write_text("a file where the folder shall be")
    with pytest.raises(FlywheelError):
        store.put(b"x")
    with pytest.raises(FlywheelError):
        store.append("log", "kind", "x", EVIDENCE)


# Against a model


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from("ab"), st.sampled_from("kl"), st.sampled_from("xyz")), max_size=20
    )
)
def test_two_stores_on_one_folder_are_like_one_list_without_repeats(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, str, str]]
) -> None:
    place = Place(tmp_path_factory.mktemp("model"))
    stores = [place.open(), place.open()]
    model: dict[str, list[tuple[str, str]]] = {}
    for who, log, kind, subject in steps:
        rows = model.setdefault(log, [])
        if (kind, subject) not in rows:
            rows.append((kind, subject))
        entry = stores[who].append(log, kind, subject, EVIDENCE)
        assert entry.number == rows.index((kind, subject)) + 1
    for store in (*stores, place.open()):
        assert store.logs() == tuple(sorted(model))
        for log, rows in model.items():
            assert [(entry.kind, entry.subject) for entry in store.entries(log)] == rows
