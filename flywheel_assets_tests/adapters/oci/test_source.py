"""Inspecting staged images: every member is read, and every way of being wrong is told apart."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs, OciImage
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.oci.images import (
    CONFIG,
    MANIFEST,
    PLATFORMS,
    REPOSITORY,
    blob_file,
    digest_of,
    image_of,
    layouts,
    make_image,
    nothing,
    platform_fields,
    put_index,
    put_json,
    put_manifest,
    seal,
)


def inspect(root: Path, image: OciImage, limits: Limits | None = None) -> dict[str, Reading]:
    readings = OciStaging(layouts(root), limits or Limits()).inspect(image, nothing)
    return {reading.member: reading for reading in readings}


def sound(reading: Reading) -> bool:
    return (
        reading.state is ReadState.READ
        and reading.digest == reading.expected_digest
        and reading.expected_size in {None, reading.size}
        and not reading.index_problems
    )


def one(readings: dict[str, Reading], prefix: str) -> Reading:
    found = [reading for member, reading in readings.items() if member.startswith(prefix)]
    assert len(found) == 1, list(readings)
    return found[0]


def test_every_member_of_every_platform_is_read(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    readings = inspect(tmp_path, image)
    assert all(map(sound, readings.values()))
    starts = [member.rpartition(" ")[0] for member in readings]
    each = ["manifest {}", "config {}", "layer {} 1/2", "layer {} 2/2"]
    expected = [text.format(platform) for platform in PLATFORMS for text in each]
    unknown = ["manifest unknown/unknown", "config unknown/unknown", "layer unknown/unknown 1/1"]
    assert starts == ["index", *expected, *unknown]


def test_reading_counts_every_byte_and_shared_layers_once(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    counted: list[int] = []
    OciStaging(layouts(tmp_path)).inspect(image, counted.append)
    files = (tmp_path / REPOSITORY / "blobs/sha256").iterdir()
    assert sum(counted) == sum(path.stat().st_size for path in files)


def test_a_single_platform_image_has_its_config_s_platform(tmp_path: Path) -> None:
    layout = tmp_path / REPOSITORY
    manifest = put_manifest(layout, "linux/arm64/v8")
    seal(layout, ("v1", manifest))
    good = inspect(tmp_path, image_of(manifest["digest"], {"linux/arm64/v8": manifest["digest"]}))
    assert all(map(sound, good.values()))
    bad = inspect(tmp_path, image_of(manifest["digest"], {"linux/amd64": manifest["digest"]}))
    problems = " ".join(one(bad, "manifest").index_problems)
    assert "linux/arm64/v8" in problems
    assert "linux/amd64 is not in the image" in problems


def member_digest(image: OciImage, root: Path, kind: str) -> str:
    """The digest of one blob of the first platform."""
    manifest = image.platforms[PLATFORMS[0]]
    document = json.loads(blob_file(root / REPOSITORY, manifest).read_bytes())
    digests: dict[str, str] = {
        "index": str(image.manifest),
        "manifest": str(manifest),
        "config": document["config"]["digest"],
        "layer": document["layers"][1]["digest"],
    }
    return digests[kind]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["index", "manifest", "config", "layer"])
@pytest.mark.parametrize(
    ("harm", "state"),
    [
        (lambda path: path.write_bytes(b""), ReadState.EMPTY),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), ReadState.TRUNCATED),
        (lambda path: path.unlink(), ReadState.ABSENT),
        (flip, ReadState.READ),
        (lambda path: path.write_bytes(path.read_bytes() + b"\n"), ReadState.READ),
        (lambda path: (path.unlink(), path.mkdir()), ReadState.MALFORMED),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), ReadState.MALFORMED),
    ],
)
def test_a_harmed_blob_is_told(tmp_path: Path, kind: str, harm: Callable[[Path], object], state: ReadState) -> None:
    image = make_image(tmp_path)
    digest = member_digest(image, tmp_path, kind)
    harm(blob_file(tmp_path / REPOSITORY, digest))
    if kind == "index" and state is ReadState.TRUNCATED:
        state = ReadState.READ  # the receipt gives a digest and no size
    found = [r for m, r in inspect(tmp_path, image).items() if m.endswith(digest)]
    assert [reading.state for reading in found] == [state]
    assert found[0].digest != found[0].expected_digest
    assert not sound(found[0])


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("kind", ["config", "manifest"])
def test_what_is_absent_for_now_contradicts_no_receipt(tmp_path: Path, kind: str, *, single: bool) -> None:
    """The gate never forgets an index problem, and an absent blob may be pushed again."""
    image = make_image(tmp_path)
    digest = member_digest(image, tmp_path, kind)
    if single:
        first = image.platforms[PLATFORMS[0]]
        image = image_of(first, {PLATFORMS[0]: first})
    blob_file(tmp_path / REPOSITORY, digest).unlink()
    readings = inspect(tmp_path, image).values()
    assert [reading.state for reading in readings].count(ReadState.ABSENT) == 1
    assert not [problem for reading in readings for problem in reading.index_problems]


def test_children_of_a_tampered_index_are_not_followed(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    flip(blob_file(tmp_path / REPOSITORY, image.manifest))
    assert len(inspect(tmp_path, image)) == 1


def test_platforms_that_differ_from_the_receipt_are_index_problems(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    amd64, arm64 = (image.platforms[name] for name in PLATFORMS)
    cases = {
        "is not in the receipt": {PLATFORMS[0]: amd64},
        "is not in the image": {**image.platforms, "linux/riscv64": amd64},
        "in the receipt.": {PLATFORMS[0]: arm64, PLATFORMS[1]: arm64},
    }
    for text, platforms in cases.items():
        root = one(inspect(tmp_path, image_of(image.manifest, platforms)), "index")
        assert root.state is ReadState.READ
        assert [problem for problem in root.index_problems if text in problem], text


def test_a_platform_named_twice_is_an_index_problem(tmp_path: Path) -> None:
    layout = tmp_path / REPOSITORY
    first, second = (put_manifest(layout, "linux/amd64", seed) for seed in "ab")
    index = put_index(layout, [first, second])
    seal(layout, ("v1", index))
    root = one(inspect(tmp_path, image_of(index["digest"], {"linux/amd64": first["digest"]})), "index")
    assert "named twice" in root.index_problems[0]


def test_a_config_for_another_architecture_is_an_index_problem(tmp_path: Path) -> None:
    layout = tmp_path / REPOSITORY
    child = put_manifest(layout, "linux/amd64")
    child["platform"] = platform_fields("linux/arm64")
    index = put_index(layout, [child])
    seal(layout, ("v1", index))
    readings = inspect(tmp_path, image_of(index["digest"], {"linux/arm64": child["digest"]}))
    assert "linux/amd64" in one(readings, "manifest").index_problems[0]


def test_a_descriptor_that_lies_about_the_size_is_told(tmp_path: Path) -> None:
    layout = tmp_path / REPOSITORY
    child = put_manifest(layout, "linux/amd64")
    child["size"] -= 1
    index = put_index(layout, [child])
    seal(layout, ("v1", index))
    readings = inspect(tmp_path, image_of(index["digest"], {"linux/amd64": child["digest"]}))
    assert not sound(one(readings, "manifest"))


def nested(layout: Path, levels: int) -> OciImage:
    child = put_manifest(layout, "linux/amd64")
    platforms = {"linux/amd64": child["digest"]}
    for _ in range(levels):
        child = put_index(layout, [child])
    seal(layout, ("v1", child))
    return image_of(child["digest"], platforms)


def test_two_levels_of_indexes_are_read_and_three_are_not(tmp_path: Path) -> None:
    image = nested(tmp_path / REPOSITORY, 2)
    assert all(map(sound, inspect(tmp_path, image).values()))
    deep = inspect(tmp_path, nested(tmp_path / REPOSITORY, 3))
    assert ReadState.TOO_LARGE in {reading.state for reading in deep.values()}


def test_more_manifests_than_the_limit_in_all_indexes_together_are_refused(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    readings = inspect(tmp_path, image, Limits(index_children=3))
    assert ReadState.TOO_LARGE not in {reading.state for reading in readings.values()}
    layout = tmp_path / REPOSITORY
    inner = [put_index(layout, [put_manifest(layout, "linux/amd64", s) for s in pair]) for pair in ("ab", "cd")]
    index = put_index(layout, inner)
    seal(layout, ("v1", index))
    many = inspect(tmp_path, image_of(index["digest"], {"linux/amd64": index["digest"]}), Limits(index_children=3))
    assert ReadState.TOO_LARGE in {reading.state for reading in many.values()}


def test_a_large_manifest_and_a_large_blob_are_told(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    assert one(inspect(tmp_path, image, Limits(manifest_bytes=100)), "index").state is ReadState.TOO_LARGE
    path = blob_file(tmp_path / REPOSITORY, member_digest(image, tmp_path, "layer"))
    path.write_bytes(b"x" * 5000)
    readings = inspect(tmp_path, image, Limits(blob_bytes=4000))
    assert one(readings, f"layer {PLATFORMS[0]} 2/2").state is ReadState.TOO_LARGE


def test_a_manifest_of_another_kind_than_its_descriptor_says_is_malformed(tmp_path: Path) -> None:
    layout = tmp_path / REPOSITORY
    child = put_manifest(layout, "linux/amd64")
    child["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    index = put_index(layout, [child])
    seal(layout, ("v1", index))
    readings = inspect(tmp_path, image_of(index["digest"], {"linux/amd64": child["digest"]}))
    assert one(readings, "manifest").state is ReadState.MALFORMED


def test_layer_urls_are_not_followed(tmp_path: Path) -> None:
    layout = tmp_path / REPOSITORY
    config = put_json(layout, platform_fields("linux/amd64"), CONFIG)
    layer = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "digest": digest_of(b"far"),
        "size": 3,
        "urls": [(tmp_path / "far").as_uri()],
    }
    (tmp_path / "far").write_bytes(b"far")
    manifest = put_json(layout, {"schemaVersion": 2, "config": config, "layers": [layer]}, MANIFEST)
    seal(layout, ("v1", manifest))
    readings = inspect(tmp_path, image_of(manifest["digest"], {"linux/amd64": manifest["digest"]}))
    assert one(readings, "layer").state is ReadState.ABSENT


def test_a_repository_that_is_not_there_is_absent_and_one_that_is_no_layout_malformed(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    assert one(inspect(tmp_path / "nowhere", image), "index").state is ReadState.ABSENT
    (tmp_path / REPOSITORY / "oci-layout").write_text("no")
    assert one(inspect(tmp_path, image), "index").state is ReadState.MALFORMED
    elsewhere = image.model_copy(update={"repository": "app/blobs"})
    assert one(inspect(tmp_path, elsewhere), "index").state is ReadState.MALFORMED


def test_what_is_no_image_is_not_asked_of_staging(tmp_path: Path) -> None:
    file = BazelFile(path="a", digest=CasDigest.of(b""), size=0)
    with pytest.raises(UsageError):
        OciStaging(layouts(tmp_path)).inspect(
            BazelOutputs(label="//:a", action=ActionDigest.of(b""), files=(file,)), nothing
        )


def test_what_progress_raises_comes_out(tmp_path: Path) -> None:
    image = make_image(tmp_path)

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        OciStaging(layouts(tmp_path)).inspect(image, stop)
