"""Publishing to a durable cache: in order, once, and the same after any interruption."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from flywheel_assets.adapters.nix import durable
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.folder import CacheFolder
from flywheel_assets.adapters.nix.narinfo import NarInfo, parse_narinfo, render_narinfo
from flywheel_assets.adapters.nix.reader import PublishedClosure
from flywheel_assets.adapters.nix.signatures import NixSigningKey, verify_signature
from flywheel_assets.adapters.nix.surface import NixCacheSurface
from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.digests import GitRevision, NarHash
from flywheel_assets.domain.errors import (
    NameTakenError,
    PublicationError,
    UnreadableError,
    UsageError,
)
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.names import store_path_base, store_path_hash
from flywheel_assets.domain.publications import Attached, Form, Plan, Proof
from flywheel_assets.ports import PublicationSurface, SourceCache
from flywheel_assets_tests.adapters.nix.making import Cache, Made, closure, ignored, made, nar, release, store_path
from flywheel_assets_tests.flakes import flake_release

KEY = NixSigningKey.generate("release-1")
UPSTREAM = NixSigningKey.generate("upstream-1")
BASE = made("base")
LIB = made("lib", [BASE.path])
APP = Made(
    store_path("app"),
    nar(b"app" * 50),
    tuple(sorted((LIB.path, store_path("app")))),
    deriver=store_path("app.drv"),
)
RELEASE = release(closure(APP, LIB))
PROOFS = (
    Proof(name="provenance", predicate_type="p", envelope=b'{"p":1}'),
    Proof(name="vsa", predicate_type="v", envelope=b'{"v":1}'),
)
ATTACHED = tuple(Attached(data=proof.envelope, form=proof.form) for proof in PROOFS)


@dataclass
class Place:
    """A source, a target, and surfaces made anew as a new process would."""

    source: Cache
    target: Path

    def surface(self, key: NixSigningKey = KEY, limits: Limits | None = None) -> NixCacheSurface:
        cache = NixCache(self.source.folder, (UPSTREAM.public_text,))
        return NixCacheSurface(self.target, cache, key, limits or Limits(), (UPSTREAM.public_text,))

    def publish(self, artifact: NixClosure | None = None, progress: Callable[[int], None] = ignored) -> Plan:
        surface = self.surface()
        plan = surface.plan(release(artifact) if artifact else RELEASE)
        surface.copy(plan, progress)
        surface.attach(plan, PROOFS)
        surface.reveal(plan)
        return plan

    def narinfo(self, path: str) -> NarInfo:
        place = self.target / f"{store_path_hash(path)}.narinfo"
        return parse_narinfo(place.read_bytes(), path)

    def visible(self) -> set[str]:
        """The hash parts that consumers can ask for."""
        return {path.stem for path in self.target.glob("*.narinfo")}

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.target)): path.read_bytes() for path in self.target.rglob("*") if path.is_file()
        }


@pytest.fixture(params=["zstd"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    source = Cache(tmp_path / "source", request.param)
    source.add(BASE, UPSTREAM)
    source.add(LIB)
    source.add(APP)
    return Place(source, tmp_path / "target")


def test_they_have_the_methods_that_the_ports_ask_for(place: Place) -> None:
    surface: PublicationSurface = place.surface()  # mypy compares the signatures
    cache: SourceCache = NixCache(place.source.folder)
    assert callable(surface.plan)
    assert callable(cache.inspect)


@pytest.mark.parametrize("place", ["zstd", "xz", "bzip2", "none"], indirect=True)
def test_a_closure_is_published_and_reads_back_signed_by_the_release_key(place: Place) -> None:
    plan = place.publish()
    assert plan.reference == f"file://{place.target}#{APP.path}"
    assert set(plan.missing) == {APP.path, LIB.path, BASE.path}
    assert plan.names == (BASE.path, LIB.path, APP.path)
    readings = place.surface().read_back(RELEASE, ignored)
    assert {reading.member for reading in readings} == {APP.path, LIB.path, BASE.path}
    for reading in readings:
        assert reading.state is ReadState.READ
        assert reading.digest == reading.expected_digest
        assert reading.vouched_by == "release-1"
        assert reading.index_problems == reading.added_references == ()


@pytest.mark.parametrize("place", ["zstd", "xz", "bzip2", "none"], indirect=True)
def test_zstd_and_xz_files_pass_as_they_are_and_others_become_zstd(place: Place) -> None:
    place.publish()
    info = place.narinfo(APP.path)
    same = (place.target / info.url).read_bytes() == place.source.body(APP.path).read_bytes()
    passed = place.source.compression in {"zstd", "xz"}
    assert same is passed
    assert info.compression == (place.source.compression if passed else "zstd")
    assert info.file_hash is not None
    assert info.url.startswith(f"nar/{info.file_hash.nix32.removeprefix('sha256:')}.nar.")


def test_the_narinfo_holds_the_receipts_view_and_upstream_signatures_stay(place: Place) -> None:
    place.source.add(APP, references=(*APP.references, store_path("added")))
    place.publish()
    app, base = place.narinfo(APP.path), place.narinfo(BASE.path)
    assert app.references == APP.references
    assert app.deriver == APP.deriver
    assert [sig.partition(":")[0] for sig in app.sigs] == ["release-1"]
    assert [sig.partition(":")[0] for sig in base.sigs] == ["release-1", "upstream-1"]
    text = f"1;{BASE.path};{NarHash.of(BASE.body).nix32};{len(BASE.body)};"
    assert [verify_signature(sig, text, (KEY.public_text, UPSTREAM.public_text)) for sig in base.sigs] == [
        "release-1",
        "upstream-1",
    ]


def test_publishing_again_changes_nothing(place: Place) -> None:
    place.publish()
    before = place.files()
    plan = place.publish()
    assert plan.missing == plan.names == ()
    assert set(plan.present) == {APP.path, LIB.path, BASE.path}
    assert place.files() == before
    assert not [name for name in before if ".tmp-" in name or name.startswith(".staged")]


def test_it_is_published_still_when_the_mutable_cache_has_lost_it(place: Place) -> None:
    place.publish()
    for path in (place.source.folder).glob("*.narinfo"):
        path.unlink()
    plan = place.surface().plan(RELEASE)
    assert plan.missing == plan.names == ()


def test_a_lost_or_shortened_file_is_missing_again_and_copied_again(place: Place) -> None:
    place.publish()
    before = place.files()
    (place.target / place.narinfo(APP.path).url).unlink()
    (place.target / place.narinfo(LIB.path).url).write_bytes(b"x")
    assert set(place.publish().missing) == {APP.path, LIB.path}
    assert place.files() == before


def test_a_new_release_key_signs_beside_the_old_one_without_copying(place: Place) -> None:
    place.publish()
    new = NixSigningKey.generate("release-2")
    surface = place.surface(new)
    plan = surface.plan(RELEASE)
    assert plan.missing == ()
    assert len(plan.names) == 3
    surface.reveal(plan)
    assert [sig.partition(":")[0] for sig in place.narinfo(APP.path).sigs] == ["release-2", "release-1"]
    assert surface.plan(RELEASE).names == ()


def test_the_release_key_signs_for_no_file_that_it_did_not_read(place: Place) -> None:
    place.publish()
    file = place.target / place.narinfo(APP.path).url
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    surface = place.surface(NixSigningKey.generate("release-2"))
    plan = surface.plan(RELEASE)
    assert plan.missing == ()
    with pytest.raises(PublicationError, match=f"is not the NAR of {APP.path}"):
        surface.reveal(plan)
    assert [sig.partition(":")[0] for sig in place.narinfo(APP.path).sigs] == ["release-1"]


@pytest.mark.parametrize("said", ["the same hash", "no hash"])
def test_what_was_copied_is_signed_and_not_what_another_put_there_meanwhile(place: Place, said: str) -> None:
    surface = place.surface()
    plan = surface.plan(RELEASE)
    surface.copy(plan, ignored)
    info = parse_narinfo(place.source.narinfo(APP.path).read_bytes(), APP.path)
    theirs = replace(info, url="nar/theirs.nar.zst", file_hash=info.file_hash if said == "the same hash" else None)
    assert info.file_size
    (place.target / theirs.url).write_bytes(bytes(info.file_size))
    (place.target / f"{store_path_hash(APP.path)}.narinfo").write_bytes(render_narinfo(theirs))
    surface.reveal(plan)
    assert place.narinfo(APP.path).url != theirs.url
    assert {reading.state for reading in place.surface().read_back(RELEASE, ignored)} == {ReadState.READ}


@pytest.mark.parametrize("change", ["body", "references"])
def test_a_published_path_with_other_content_is_refused_in_the_plan(place: Place, change: str) -> None:
    place.publish()
    body = nar(b"other") if change == "body" else APP.body
    references = APP.references if change == "body" else (LIB.path,)
    other = place.source.add(Made(APP.path, body, references))
    with pytest.raises(NameTakenError, match=APP.path) as raised:
        place.surface().plan(release(closure(other, LIB)))
    if change == "body":
        assert str(NarHash.of(other.body)) in str(raised.value)
        assert str(NarHash.of(APP.body)) in str(raised.value)
    else:
        assert f"adds the reference {APP.path}" in str(raised.value)


def test_a_name_that_is_taken_after_the_plan_is_not_overwritten(place: Place) -> None:
    surface = place.surface()
    plan = surface.plan(RELEASE)
    surface.copy(plan, ignored)
    theirs = place.source.add(Made(APP.path, nar(b"other"), APP.references))
    data = place.source.narinfo(theirs.path).read_bytes()
    (place.target / f"{store_path_hash(APP.path)}.narinfo").write_bytes(data)
    with pytest.raises(NameTakenError):
        surface.reveal(plan)
    assert (place.target / f"{store_path_hash(APP.path)}.narinfo").read_bytes() == data


def test_an_unreadable_narinfo_takes_the_name(place: Place) -> None:
    place.target.mkdir()
    (place.target / f"{store_path_hash(APP.path)}.narinfo").write_bytes(b"nonsense")
    with pytest.raises(NameTakenError, match="unreadable narinfo"):
        place.surface().plan(RELEASE)


def test_a_folder_for_another_store_is_not_published_to(place: Place) -> None:
    place.target.mkdir()
    (place.target / "nix-cache-info").write_text("StoreDir: /gnu/store\n", encoding="utf-8")
    with pytest.raises(PublicationError, match="no cache to publish to"):
        place.surface().plan(RELEASE)


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"", UnreadableError, "is empty"),
        (None, UnreadableError, "is truncated"),
        (b"garbage", PublicationError, "is undecodable"),
    ],
)
def test_a_broken_source_is_not_copied(place: Place, data: bytes | None, error: type[Exception], reason: str) -> None:
    body = place.source.body(APP.path)
    body.write_bytes(body.read_bytes()[:-3] if data is None else data)
    surface = place.surface()
    with pytest.raises(error, match=reason):
        surface.copy(surface.plan(RELEASE), ignored)
    assert place.visible() == set()
    assert not list(place.target.glob(".tmp-*"))


def test_bytes_that_changed_since_the_approval_are_not_copied(place: Place) -> None:
    honest = Made(APP.path, APP.body.replace(b"app", b"epp"), APP.references)
    place.source.add(honest)
    surface = place.surface()
    with pytest.raises(PublicationError, match=f"{NarHash.of(APP.body)} was approved"):
        surface.copy(surface.plan(RELEASE), ignored)
    assert not list(place.target.glob(".tmp-*"))


def test_a_file_that_contradicts_its_narinfo_is_not_copied(place: Place) -> None:
    place.source.add(APP, file_hash=None)
    packed = place.source.body(APP.path).read_bytes()
    place.source.add(APP)
    # A skippable frame (RFC 8878, 3.1.2) changes the file and not the NAR.
    place.source.body(APP.path).write_bytes(packed + bytes.fromhex("502a4d18 00000000"))
    surface = place.surface()
    with pytest.raises(PublicationError, match="its narinfo says"):
        surface.copy(surface.plan(RELEASE), ignored)


def test_a_path_that_is_neither_listed_nor_vouched_for_is_refused(place: Place) -> None:
    place.source.add(BASE)
    with pytest.raises(PublicationError, match="no trusted upstream key signed it"):
        place.surface().plan(RELEASE)


def test_a_circle_and_a_stranger_in_the_receipt_are_refused(place: Place) -> None:
    one, two = store_path("one"), store_path("two")
    circle = closure(Made(one, nar(b"1"), (two,)), Made(two, nar(b"2"), (one,)))
    with pytest.raises(PublicationError, match="in a circle"):
        place.surface().plan(release(circle))
    with pytest.raises(PublicationError, match="which the root does not refer to"):
        place.surface().plan(release(closure(APP, LIB, made("stranger"))))
    with pytest.raises(PublicationError, match="over 2 paths"):
        place.surface(limits=Limits(closure_members=2)).plan(RELEASE)


def test_nothing_is_revealed_that_was_not_copied(place: Place) -> None:
    surface = place.surface()
    with pytest.raises(PublicationError, match="copy it first"):
        surface.reveal(surface.plan(RELEASE))
    assert place.visible() == set()


def test_proofs_are_attached_once_and_found_again(place: Place) -> None:
    surface = place.surface()
    plan = surface.plan(RELEASE)
    assert surface.proofs(RELEASE) == ()
    surface.attach(plan, PROOFS)
    surface.attach(plan, PROOFS)
    assert surface.proofs(RELEASE) == ATTACHED
    for other in (b'{"v":2}', b'{"v":1} ', b"{"):
        changed = Proof(name="vsa", predicate_type="v", envelope=other)
        remedy = "restore the keys and evidence of its FLYWHEEL_HOME, or publish to another cache"
        with pytest.raises(PublicationError, match=rf"vsa\.dsse\.json holds another proof already.* {remedy}"):
            surface.attach(plan, (changed,))
    assert surface.proofs(RELEASE) == ATTACHED


def test_each_release_of_a_flake_has_proofs_of_its_own_beside_one_closure(place: Place) -> None:
    surface, plain = place.surface(), flake_release().flake
    assert plain is not None
    releases = [
        RELEASE,
        *(
            RELEASE.model_copy(update={"flake": plain.model_copy(update=change)})
            for change in (
                {},
                {"revision": GitRevision("b" * 40)},
                {"version": "1.2.4"},
                {"version": None},
                {"attribute": "packages.x86_64-linux.app"},
                {"name": "octo-org/other"},
            )
        ),
    ]
    for number, each in enumerate(releases):
        assert surface.proofs(each) == ()
        proof = Proof(name="vsa", predicate_type="v", envelope=b'{"v":%d}' % number)
        surface.attach(surface.plan(each), (proof,))
    for number, each in enumerate(releases):
        assert [found.data for found in surface.proofs(each)] == [b'{"v":%d}' % number]


def test_a_bundle_lies_beside_an_envelope_of_the_same_name(place: Place) -> None:
    surface = place.surface()
    plan = surface.plan(RELEASE)
    bundle = Proof(name="provenance", predicate_type="p", envelope=b"{}", form=Form.BUNDLE)
    surface.attach(plan, (*PROOFS, bundle))
    assert surface.proofs(RELEASE) == (ATTACHED[0], Attached(data=b"{}", form=Form.BUNDLE), ATTACHED[1])
    folder = place.target / "attestations" / store_path_hash(APP.path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "provenance.dsse.json",
        "provenance.sigstore.json",
        "vsa.dsse.json",
    ]


@pytest.mark.parametrize(
    "proof",
    [
        Proof(name="scan", predicate_type="p", envelope=b"{}"),
        Proof(name="vsa", predicate_type="p", envelope=b"{}", form=Form.SIMPLE_SIGNING),
    ],
)
def test_a_proof_that_no_consumer_would_look_for_is_refused(place: Place, proof: Proof) -> None:
    surface = place.surface()
    with pytest.raises(PublicationError, match="no proof that consumers of a Nix cache look for"):
        surface.attach(surface.plan(RELEASE), (proof,))


def test_it_is_read_back_as_consumers_read_it(place: Place, tmp_path: Path) -> None:
    place.publish()
    source = NixCache(place.source.folder, (UPSTREAM.public_text,))
    consumer = CacheFolder(tmp_path / "elsewhere")
    surface = NixCacheSurface(place.target, source, KEY, consumer=consumer)
    assert {reading.state for reading in surface.read_back(RELEASE, ignored)} == {ReadState.ABSENT}
    assert surface.proofs(RELEASE) == ()


@pytest.mark.parametrize("part", ["body", "signature", "reference"])
def test_read_back_sees_what_was_changed_afterwards(place: Place, part: str) -> None:
    place.publish()
    info = place.narinfo(APP.path)
    narinfo = place.target / f"{store_path_hash(APP.path)}.narinfo"
    if part == "body":
        data = bytearray((place.target / info.url).read_bytes())
        data[-5] ^= 1
        (place.target / info.url).write_bytes(data)
    elif part == "signature":
        narinfo.write_bytes(
            b"".join(row for row in narinfo.read_bytes().splitlines(keepends=True) if row[:3] != b"Sig")
        )
    else:
        base = store_path_base(BASE.path).encode()
        narinfo.write_bytes(narinfo.read_bytes().replace(b"References: ", b"References: " + base + b" "))
    reading = next(r for r in place.surface().read_back(RELEASE, ignored) if r.member == APP.path)
    if part == "body":
        assert reading.state is not ReadState.READ or reading.digest != reading.expected_digest
    else:
        assert reading.vouched_by == ""
        assert "not signed for this path" in reading.index_problems[-1]


def test_a_reference_is_all_that_a_consumer_needs(place: Place) -> None:
    published = PublishedClosure(place.publish().reference, (UPSTREAM.public_text,))
    assert published.identity() == APP.path
    assert published.proofs() == ATTACHED
    readings = published.read(closure(APP, LIB), ignored)
    assert {(r.member, r.state) for r in readings} == {(p.path, ReadState.READ) for p in (APP, LIB, BASE)}


@pytest.mark.parametrize("reference", ["https://x/#/nix/store/y", "file://x#" + APP.path, "ftp://x#" + APP.path, "x"])
def test_what_is_no_reference_is_a_usage_error(reference: str) -> None:
    with pytest.raises(UsageError, match="no published store path"):
        PublishedClosure(reference)


class KilledError(BaseException):
    """The process dies here."""


def test_an_interrupted_copy_shows_nothing_and_is_taken_up_again(place: Place) -> None:
    def stop(_count: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        place.publish(progress=stop)
    assert place.visible() == set()
    place.publish()
    assert {reading.vouched_by for reading in place.surface().read_back(RELEASE, ignored)} == {"release-1"}


def test_death_at_any_write_leaves_a_consistent_cache_that_converges(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Dies at the first, second, … rename, link or removal, without cleaning up, then runs again."""
    monkeypatch.setattr(CacheFolder, "threads", 1)
    place.publish()
    whole = place.files()
    deaths = 0
    while True:
        place.target = tmp_path / f"target-{deaths}"
        with monkeypatch.context() as patch:
            left = deaths

            def dying(really: Callable[..., object]) -> Callable[..., object]:
                def act(*args: object, **keywords: object) -> object:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise KilledError
                    return really(*args, **keywords)

                return act

            for name in ("replace", "hardlink_to", "unlink", "mkdir"):
                patch.setattr(Path, name, dying(getattr(Path, name)))
            patch.setattr(os, "fsync", dying(os.fsync))
            patch.setattr(durable, "_sync_file_system", dying(durable._sync_file_system))
            try:
                place.publish()
                break
            except KilledError:
                deaths += 1
        assert_what_is_visible_is_whole(place)
        place.publish()
        assert {name: data for name, data in place.files().items() if ".tmp-" not in name} == whole
    assert deaths > 30


def assert_what_is_visible_is_whole(place: Place) -> None:
    visible = place.visible()
    for made_path in (APP, LIB, BASE):
        if store_path_hash(made_path.path) in visible:
            info = place.narinfo(made_path.path)
            assert (place.target / info.url).stat().st_size == info.file_size
            assert {store_path_hash(name) for name in info.references} <= visible
            assert info.sigs
    if store_path_hash(APP.path) in visible:
        assert place.surface().proofs(RELEASE) == ATTACHED


def test_drafts_of_dead_processes_are_swept_after_a_day(place: Place) -> None:
    place.target.mkdir()
    old, new = place.target / ".tmp-old", place.target / ".tmp-new"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    place.publish()
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("step", [(os, "fsync"), (durable, "_sync_file_system")])
def test_a_full_disk_is_a_publication_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: tuple[object, str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*step, full)
    with pytest.raises(PublicationError, match="No space left on device"):
        place.publish()
    assert not list(place.target.glob(".tmp-*"))
    assert place.visible() == set()


def test_all_nars_are_on_disk_before_a_narinfo_is_visible_and_all_else_before_the_root(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    really = durable._sync_file_system

    def watched(folder: Path) -> None:
        really(folder)
        seen.append(place.visible())

    monkeypatch.setattr(durable, "_sync_file_system", watched)
    place.publish()
    others, root = {store_path_hash(path.path) for path in (LIB, BASE)}, store_path_hash(APP.path)
    assert seen == [set(), set(), others, others | {root}]  # copy, attach, before the root, after it


def test_what_cannot_be_synced_is_a_publication_error(tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match="nowhere cannot be written"):
        DurableFolder(tmp_path / "nowhere").settle()


@pytest.mark.parametrize("name", ["nar", "attestations"])
def test_nothing_is_published_through_a_linked_folder(place: Place, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place.target.mkdir()
    (place.target / name).symlink_to(outside)
    with pytest.raises(PublicationError, match="is a symbolic link"):
        place.publish()
    assert list(outside.iterdir()) == []
    assert place.visible() == set()


def test_a_link_behind_a_plain_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "second").symlink_to(tmp_path)
    with pytest.raises(PublicationError, match="is a symbolic link"):
        DurableFolder(tmp_path).prepare("first", "second")
    assert not (tmp_path / "first").exists()
