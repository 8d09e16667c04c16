"""Publishing into a layout: nothing is visible too early, everything can be repeated, everything is read back."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from flywheel_assets.adapters.oci import attaching
from flywheel_assets.adapters.oci.builder import image_in_layout
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.referrers import descriptor
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.artifacts import OciImage
from flywheel_assets.domain.digests import ManifestDigest, Sha256
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    LimitExceededError,
    NameTakenError,
    PublicationError,
    ReadBackError,
    UnauthorisedError,
    UnreadableError,
    UsageError,
)
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.domain.publications import Proof, Release
from flywheel_assets.domain.withdrawals import Unpublished
from flywheel_assets_tests.adapters.oci.images import (
    INDEX,
    MANIFEST,
    PLATFORMS,
    PROOFS,
    REPOSITORY,
    blob_file,
    digest_of,
    envelope,
    envelopes,
    image_of,
    layouts,
    make_image,
    nothing,
    put_index,
    put_manifest,
    release_of,
    seal,
)


@pytest.fixture
def image(tmp_path: Path) -> OciImage:
    return make_image(tmp_path / "staging")


@pytest.fixture
def surface(tmp_path: Path) -> OciSurface:
    (tmp_path / "durable").mkdir()
    return OciSurface(layouts(tmp_path / "durable"), OciStaging(layouts(tmp_path / "staging")))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "durable/released/dashboard"


def publish(surface: OciSurface, release: Release, proofs: tuple[Proof, ...] = PROOFS) -> None:
    plan = surface.plan(release)
    surface.copy(plan, nothing)
    surface.attach(plan, proofs)
    surface.reveal(plan)


def is_sound(readings: tuple[Reading, ...]) -> bool:
    return all(r.state is ReadState.READ and r.digest == r.expected_digest and not r.index_problems for r in readings)


def names(target: Path) -> set[str]:
    """What the folder names, read without our code."""
    if not (target / "index.json").exists():
        return set()
    entries = json.loads((target / "index.json").read_text())["manifests"]
    found = [entry.get("annotations", {}).get("org.opencontainers.image.ref.name") for entry in entries]
    return {name for name in found if name}


def test_a_plan_is_what_is_wanted_minus_what_is_there(surface: OciSurface, image: OciImage, target: Path) -> None:
    release = release_of(image, "v1", "latest", moving=("latest",))
    first = surface.plan(release)
    assert first.reference == f"oci:{target}@{image.manifest}"
    assert first.present == ()
    assert first.names == ("v1", "latest")
    assert first.missing[-1] == str(image.manifest), "the index is copied last"
    assert len(first.missing) == len(list((target.parents[2] / "staging" / REPOSITORY / "blobs/sha256").iterdir()))
    assert not target.exists(), "planning writes nothing"
    publish(surface, release)
    again = surface.plan(release)
    assert (again.missing, again.names) == ((), ())
    assert set(again.present) == set(first.missing)


def test_nothing_is_named_before_it_is_revealed(surface: OciSurface, image: OciImage, target: Path) -> None:
    plan = surface.plan(release_of(image, "v1"))
    surface.copy(plan, nothing)
    assert names(target) == set()
    surface.attach(plan, PROOFS)
    beside = names(target)
    assert {name.partition(".")[0] for name in beside} == {f"sha256-{image.manifest.hex}"}
    surface.reveal(plan)
    assert names(target) == {*beside, "v1"}


def test_what_was_published_reads_back_whole(surface: OciSurface, image: OciImage) -> None:
    release = release_of(image, "v1", "latest", moving=("latest",))
    publish(surface, release)
    readings = surface.read_back(release, nothing)
    assert is_sound(readings)
    members = {reading.member.split(" ")[0] for reading in readings}
    assert members == {"index", "manifest", "config", "layer", "tag", "referrer", "proof"}
    assert {f"manifest {name} {image.platforms[name]}" for name in PLATFORMS} <= {r.member for r in readings}
    assert envelopes(surface, release) == sorted(proof.envelope for proof in PROOFS)


def test_a_form_of_a_proof_that_is_gone_from_its_place_does_not_read_back(
    surface: OciSurface, image: OciImage, target: Path
) -> None:
    release, tag = release_of(image, "v1"), f"sha256-{image.manifest.hex}"
    publish(surface, release)
    assert is_sound(surface.read_back(release, nothing, PROOFS))
    layout = OciLayout(target)
    layout.prepare()
    listed = layout.referrers(image.manifest)
    assert len(listed) == 2 * len(PROOFS), "the envelope and a bundle of each"
    for gone in listed:
        seal(target, *named(target, tag, [each for each in listed if each != gone]))
        readings = surface.read_back(release, nothing, PROOFS)
        assert [gone["digest"] in r.detail for r in readings if r.state is ReadState.ABSENT] == [True]
    for present in (PROOFS[:0], PROOFS[:1]):
        seal(target, *named(target, tag, listed, but=f"{tag}.att"))
        attaching.attach(layout, subject_of(target, image), present, DEFAULT_LIMITS)
        readings = surface.read_back(release, nothing, PROOFS)
        lost = [f"under the tag {tag}.att" in r.detail for r in readings if r.state is ReadState.ABSENT]
        assert lost == [True] * (len(PROOFS) - len(present))


def named(target: Path, tag: str, listed: list[dict[str, Any]], but: str = "") -> list[tuple[str, dict[str, Any]]]:
    """The names of a layout, with another list of referrers under ``tag``, and without ``but``."""
    entries = json.loads((target / "index.json").read_text())["manifests"]
    said = "org.opencontainers.image.ref.name"
    found = {entry["annotations"][said]: entry for entry in entries if said in entry.get("annotations", {})}
    return [(name, entry) for name, entry in ({**found, tag: put_index(target, listed)}).items() if name != but]


def subject_of(target: Path, image: OciImage) -> dict[str, Any]:
    return descriptor(INDEX, blob_file(target, image.manifest).read_bytes())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".flywheel" not in path.parts
    }


def test_publishing_again_changes_no_byte(surface: OciSurface, image: OciImage, target: Path) -> None:
    publish(surface, release_of(image, "v1"))
    before = snapshot(target)
    publish(surface, release_of(image, "v1"))
    assert snapshot(target) == before


def test_proofs_attached_one_by_one_in_any_order_are_all_there_once(
    surface: OciSurface, image: OciImage, target: Path
) -> None:
    publish(surface, release_of(image, "v1"))
    expected = snapshot(target)
    shutil.rmtree(target)
    publish(surface, release_of(image, "v1"), PROOFS[1:])
    publish(surface, release_of(image, "v1"), PROOFS[:1])
    assert {name: data for name, data in snapshot(target).items() if name in expected}.keys() == expected.keys()
    assert len(envelopes(surface, release_of(image, "v1"))) == len(PROOFS)


def test_publishing_at_once_converges(surface: OciSurface, image: OciImage) -> None:
    releases = [release_of(image, "v1", f"v1.{number}") for number in range(6)]
    proofs = [Proof(name="vsa", predicate_type="t", envelope=envelope(f"{number:04}")) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda pair: publish(surface, pair[0], (*PROOFS, pair[1])), zip(releases, proofs, strict=True)))
    for release in releases:
        assert is_sound(surface.read_back(release, nothing))
    assert len(envelopes(surface, releases[0])) == len(PROOFS) + 6


class StoppedError(BaseException):
    """As if the process had been killed here: nothing of ours may catch it."""


def test_a_copy_that_stops_anywhere_is_completed_by_another(surface: OciSurface, image: OciImage, target: Path) -> None:
    release = release_of(image, "v1")
    plan = surface.plan(release)
    for allowed in range(len(plan.missing)):
        left = iter(range(allowed))

        def progress(count: int, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise StoppedError

        with pytest.raises(StoppedError):
            surface.copy(plan, progress)
        assert names(target) == set()
        with pytest.raises((PublicationError, AbsentError)):
            surface.reveal(plan)
        shutil.rmtree(target)
    publish(surface, release)
    assert is_sound(surface.read_back(release, nothing))


def dying_at(step: int, *, after: bool) -> Callable[[Path, Path], Path]:
    """A rename that stops the process at its ``step``-th call, before or after it moved."""
    calls = itertools.count(1)
    whole = Path.replace

    def replace(part: Path, place: Path) -> Path:
        call = next(calls)
        if call == step and not after:
            raise StoppedError
        moved = whole(part, place)
        if call == step:
            raise StoppedError
        return moved

    return replace


@pytest.mark.parametrize("after", [False, True], ids=["before a rename", "after a rename"])
def test_a_process_that_dies_at_any_rename_leaves_nothing_half_named(
    surface: OciSurface, image: OciImage, target: Path, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    release = release_of(image, "v1", "v2")
    whole = Path.replace
    step = 0
    while True:
        step += 1
        dying = dying_at(step, after=after)
        monkeypatch.setattr(Path, "replace", dying)
        try:
            publish(surface, release)
        except StoppedError:
            found = names(target) & {"v1", "v2"}
            assert found in (set(), {"v1", "v2"})
            if found:
                assert is_sound(surface.read_back(release, nothing))
        else:
            break
        finally:
            monkeypatch.setattr(Path, "replace", whole)
        publish(surface, release)
        assert is_sound(surface.read_back(release, nothing))
        assert len(envelopes(surface, release)) == len(PROOFS)
        shutil.rmtree(target)
    assert step > len(surface.plan(release).present)


def test_a_taken_tag_is_refused_in_the_plan(surface: OciSurface, image: OciImage, tmp_path: Path) -> None:
    publish(surface, release_of(image, "v1", "latest", moving=("latest",)))
    newer = make_image(tmp_path / "staging", seed="newer")
    with pytest.raises(NameTakenError) as caught:
        surface.plan(release_of(newer, "v1"))
    assert all(text in str(caught.value) for text in ("'v1'", str(image.manifest), str(newer.manifest)))
    release = release_of(newer, "v2", "latest", moving=("latest",))
    assert surface.plan(release).names == ("v2", "latest")
    publish(surface, release)
    assert is_sound(surface.read_back(release, nothing))
    assert is_sound(surface.read_back(release_of(image, "v1"), nothing))


def test_a_tag_that_is_taken_between_plan_and_reveal_is_refused(
    surface: OciSurface, image: OciImage, tmp_path: Path, target: Path
) -> None:
    plan = surface.plan(release_of(image, "new", "v1"))
    surface.copy(plan, nothing)
    publish(surface, release_of(make_image(tmp_path / "staging", seed="newer"), "v1"))
    with pytest.raises(NameTakenError):
        surface.reveal(plan)
    assert "new" not in names(target), "all tags or none"


def test_a_tag_that_was_right_in_the_plan_is_looked_at_again(
    surface: OciSurface, image: OciImage, tmp_path: Path, target: Path
) -> None:
    release = release_of(image, "v1", "latest", moving=("latest",))
    publish(surface, release)
    plan = surface.plan(release)
    assert plan.names == ()
    publish(surface, release_of(make_image(tmp_path / "staging", seed="newer"), "latest", moving=("latest",)))
    surface.reveal(plan)
    assert is_sound(surface.read_back(release, nothing))
    layout = OciLayout(target)
    layout.set_names({"v1": put_manifest(target, "linux/s390x")}, moving=["v1"])
    with pytest.raises(NameTakenError):
        surface.reveal(plan)


@pytest.mark.parametrize("kind", ["config", "layer", "manifest", "index"])
def test_a_source_that_was_tampered_with_is_not_published(
    surface: OciSurface, image: OciImage, tmp_path: Path, target: Path, kind: str
) -> None:
    plan = surface.plan(release_of(image, "v1"))
    staged = tmp_path / "staging" / REPOSITORY
    manifest = json.loads(blob_file(staged, image.platforms[PLATFORMS[0]]).read_bytes())
    digests = {
        "config": manifest["config"]["digest"],
        "layer": manifest["layers"][1]["digest"],
        "manifest": image.platforms[PLATFORMS[0]],
        "index": image.manifest,
    }
    path = blob_file(staged, digests[kind])
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    other = OciSurface(layouts(tmp_path / "durable"), OciStaging(layouts(tmp_path / "staging")))
    with pytest.raises(PublicationError):
        other.copy(plan, nothing)
    assert not blob_file(target, digests[kind]).exists()
    path.unlink()
    with pytest.raises(AbsentError):
        other.copy(plan, nothing)


def test_an_image_with_a_platform_that_the_receipt_lacks_is_not_planned(surface: OciSurface, image: OciImage) -> None:
    fewer = image_of(image.manifest, {PLATFORMS[0]: image.platforms[PLATFORMS[0]]})
    with pytest.raises(PublicationError, match="is not in the receipt"):
        surface.plan(release_of(fewer, "v1"))


def test_an_absent_image_is_absent(surface: OciSurface) -> None:
    gone = digest_of(b"gone")
    with pytest.raises(AbsentError):
        surface.plan(release_of(image_of(gone, {"linux/amd64": gone}), "v1"))


def test_a_published_image_can_be_planned_when_staging_has_lost_it(
    surface: OciSurface, image: OciImage, tmp_path: Path
) -> None:
    publish(surface, release_of(image, "v1"))
    shutil.rmtree(tmp_path / "staging")
    plan = surface.plan(release_of(image, "v1", "v1.0"))
    assert (plan.missing, plan.names) == ((), ("v1.0",))
    publish(surface, release_of(image, "v1", "v1.0"))
    assert is_sound(surface.read_back(release_of(image, "v1", "v1.0"), nothing))


def test_proofs_and_names_wait_for_the_copy(surface: OciSurface, image: OciImage) -> None:
    plan = surface.plan(release_of(image, "v1"))
    with pytest.raises(PublicationError, match="Copy the image again"):
        surface.attach(plan, PROOFS)
    with pytest.raises(AbsentError):
        surface.reveal(plan)


def test_what_was_harmed_on_the_surface_is_read_back_as_such(
    surface: OciSurface, image: OciImage, target: Path
) -> None:
    release = release_of(image, "v1")
    publish(surface, release, ())
    for path in sorted((target / "blobs/sha256").iterdir()):
        data = path.read_bytes()
        path.write_bytes(b"X" + data[1:])
        assert not is_sound(surface.read_back(release, nothing)), path.name
        path.write_bytes(data)


def test_a_missing_or_moved_tag_is_read_back_as_such(surface: OciSurface, image: OciImage, tmp_path: Path) -> None:
    publish(surface, release_of(image, "v1"))
    tags = {r.member: r for r in surface.read_back(release_of(image, "v1", "v2"), nothing)}
    assert tags["tag v1"].state is ReadState.READ
    assert tags["tag v2"].state is ReadState.ABSENT
    newer = make_image(tmp_path / "staging", seed="newer")
    moved = {r.member: r for r in surface.read_back(release_of(newer, "v1"), nothing)}["tag v1"]
    assert (moved.digest, moved.expected_digest) == (str(image.manifest), str(newer.manifest))


def test_a_surface_that_another_workflow_filled_is_observed(tmp_path: Path) -> None:
    theirs = make_image(tmp_path / "durable", repository="released/dashboard")
    surface = OciSurface(layouts(tmp_path / "durable"), OciStaging(layouts(tmp_path / "nowhere")))
    assert is_sound(surface.read_back(release_of(theirs, "staged"), nothing))
    assert surface.proofs(release_of(theirs, "staged")) == ()


def test_a_surface_that_is_not_there_is_absent(tmp_path: Path, image: OciImage) -> None:
    surface = OciSurface(layouts(tmp_path / "nowhere"), OciStaging(layouts(tmp_path / "staging")))
    readings = surface.read_back(release_of(image, "v1"), nothing)
    assert {reading.state for reading in readings} == {ReadState.ABSENT}
    assert surface.proofs(release_of(image, "v1")) == ()


def test_a_referrer_that_is_gone_is_dropped_from_the_list(surface: OciSurface, image: OciImage, target: Path) -> None:
    release = release_of(image, "v1")
    publish(surface, release, PROOFS[:1])
    gone = OciLayout(target).referrers(image.manifest)[0]["digest"]
    blob_file(target, gone).unlink()
    assert is_sound(surface.read_back(release, nothing))
    surface.attach(surface.plan(release), PROOFS[1:])
    assert gone not in {entry["digest"] for entry in OciLayout(target).referrers(image.manifest)}


def test_referrers_of_others_stay_listed(surface: OciSurface, image: OciImage, target: Path) -> None:
    release = release_of(image, "v1")
    publish(surface, release, ())
    theirs = put_manifest(target, "linux/amd64", "theirs", artifactType="application/spdx+json", extra=[1])
    seal(target, (f"sha256-{image.manifest.hex}", put_index(target, [theirs])))
    surface.attach(surface.plan(release), PROOFS)
    listed = OciLayout(target).tag(f"sha256-{image.manifest.hex}")
    assert listed is not None
    assert theirs in json.loads(blob_file(target, listed.digest).read_text())["manifests"]
    assert len(envelopes(surface, release)) == len(PROOFS)


def test_a_broken_list_of_proofs_is_an_error_and_not_no_proofs(
    surface: OciSurface, image: OciImage, target: Path
) -> None:
    publish(surface, release_of(image, "v1"))
    (target / "index.json").write_text("{")
    with pytest.raises(ReadBackError):
        surface.proofs(release_of(image, "v1"))
    with pytest.raises(PublicationError):
        surface.plan(release_of(image, "v1"))


@pytest.mark.parametrize(
    "error",
    [
        UnauthorisedError("Tags are not listed to this reader."),
        UnreadableError("The list of tags broke off."),
        AbsentError("There is no list of tags."),
        LimitExceededError("registry", "tags", "are more than 10,000", "Delete those that nobody needs."),
        InvalidInputError("registry", "tags", "is no list of tags", "Look at the registry."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_registry_that_lists_no_tags_gives_up_those_of_the_release_and_says_that_there_may_be_more(
    surface: OciSurface, image: OciImage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    publish(surface, release_of(image, "v1"))

    def untold(_layout: OciLayout, _digest: Sha256) -> tuple[str, ...]:
        raise error

    monkeypatch.setattr(OciLayout, "tags_of", untold)
    gone = surface.withdraw(release_of(image, "v1"), PROOFS[0], ())
    assert gone.removed == ("tag v1",)
    assert gone.remaining == (f"any tag that the release did not set: {error}",)


def test_tags_of_the_release_that_a_registry_does_not_list_go_and_one_that_cannot_be_told_keeps_no_other(
    surface: OciSurface, image: OciImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, tag = release_of(image, "v1", "v2"), OciLayout.tag
    publish(surface, release)

    def one_broken(layout: OciLayout, name: str) -> Any:
        if name == "v1":
            raise UnreadableError("The registry failed.")
        return tag(layout, name)

    monkeypatch.setattr(OciLayout, "tags_of", lambda _layout, _digest: ())
    monkeypatch.setattr(OciLayout, "tag", one_broken)
    gone = surface.withdraw(release, PROOFS[0], ())
    assert gone == Unpublished(removed=("tag v2",), remaining=("the tag v1: The registry failed.",))


def test_a_release_without_a_repository_is_a_usage_error(surface: OciSurface, image: OciImage) -> None:
    with pytest.raises(UsageError):
        surface.plan(release_of(image).model_copy(update={"repository": None}))


def test_a_folder_that_may_not_be_written_is_a_publication_error(
    surface: OciSurface, image: OciImage, target: Path
) -> None:
    plan = surface.plan(release_of(image, "v1"))
    target.parent.write_text("a file where a folder shall be")
    with pytest.raises(PublicationError, match="cannot be written"):
        surface.copy(plan, nothing)


def test_a_builder_describes_the_image_that_it_has_just_made(tmp_path: Path, image: OciImage) -> None:
    staged = tmp_path / "staging" / REPOSITORY
    assert image_in_layout(staged, "staged", REPOSITORY) == image
    assert image_in_layout(staged, str(image.manifest), REPOSITORY) == image
    with pytest.raises(UsageError):
        image_in_layout(staged, "unknown", REPOSITORY)
    with pytest.raises(UsageError):
        image_in_layout(staged, "sha256:12", REPOSITORY)
    assert MANIFEST in blob_file(staged, image.manifest).read_text()


class Lagging:
    """A layout whose consumers see one kind of thing only after some looks; it counts the waits."""

    def __init__(self, layout: OciLayout, what: str, looks: int) -> None:
        self._layout, self._what, self._looks = layout, what, looks
        self.waited = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layout, name)

    def waits(self) -> Iterator[None]:
        for self.waited in range(1, 4):
            yield

    def tag(self, name: str) -> Any:
        what = name.rpartition(".")[2] if name.startswith("sha256-") else "tag"
        return None if self._is_late(what) else self._layout.tag(name)

    def referrers(self, subject: ManifestDigest) -> Any:
        return [] if self._is_late("referrers") else self._layout.referrers(subject)

    def manifest_size(self, digest: Sha256) -> int | None:
        return None if self._is_late("manifest") else self._layout.manifest_size(digest)

    def _is_late(self, what: str) -> bool:
        self._looks -= what == self._what
        return what == self._what and self._looks >= 0


@pytest.mark.parametrize("what", ["tag", "att", "referrers", "manifest"])
def test_a_registry_that_lags_is_given_time(surface: OciSurface, image: OciImage, target: Path, what: str) -> None:
    release = release_of(image, "v1")
    publish(surface, release)
    for looks, waited in ((2, 2), (0, 0)):
        lagging = Lagging(OciLayout(target), what, looks)
        surface._consumer = {"released/dashboard": cast("Repository", lagging)}.__getitem__
        assert is_sound(surface.read_back(release, nothing, PROOFS))
        assert lagging.waited == waited


def test_what_a_consumer_never_sees_is_told_after_a_while(surface: OciSurface, image: OciImage, target: Path) -> None:
    release = release_of(image, "v1")
    publish(surface, release)
    lagging = Lagging(OciLayout(target), "tag", 1000)
    surface._consumer = {"released/dashboard": cast("Repository", lagging)}.__getitem__
    assert {r.member: r.state for r in surface.read_back(release, nothing)}["tag v1"] is ReadState.ABSENT
    assert lagging.waited == 3
