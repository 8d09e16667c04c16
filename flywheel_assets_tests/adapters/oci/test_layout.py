"""The layout as files: what is written, what is refused, what survives others' entries and a crash."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.domain.digests import BlobDigest
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    LimitExceededError,
    NameTakenError,
    PublicationError,
)
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.oci.images import MANIFEST, blob_file

DATA = b"content" * 1000
DIGEST = BlobDigest.of(DATA)
FIRST, OTHER = BlobDigest.of(b"first"), BlobDigest.of(b"other")


def descriptor(digest: BlobDigest) -> dict[str, object]:
    return {"mediaType": MANIFEST, "digest": str(digest), "size": 5}


@pytest.fixture
def layout(tmp_path: Path) -> OciLayout:
    layout = OciLayout(tmp_path / "layout")
    (tmp_path / "layout").mkdir()
    layout.prepare()
    for data in (b"first", b"other"):
        layout.put_manifest(data, MANIFEST)
    return layout


def leftovers(layout: OciLayout) -> list[Path]:
    return list((layout.path / ".flywheel").glob("*.part")) + list((layout.path / "blobs/sha256").glob("*.part"))


def test_a_blob_is_stored_under_its_digest_and_read_in_chunks(layout: OciLayout) -> None:
    assert layout.put_blob([DATA[:10], DATA[10:]], DIGEST, len(DATA))
    assert b"".join(layout.open_blob(DIGEST)) == DATA
    assert not leftovers(layout)


def test_storing_a_blob_again_reads_no_source(layout: OciLayout) -> None:
    layout.put_blob([DATA], DIGEST, len(DATA))
    assert not layout.put_blob(iter(()), DIGEST, len(DATA))


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", b"", b"X" + DATA[1:]])
def test_bytes_that_are_not_the_digest_are_not_kept(layout: OciLayout, data: bytes) -> None:
    with pytest.raises(PublicationError, match="shall be 7,000 bytes"):
        layout.put_blob([data], DIGEST, len(DATA))
    assert layout.blob_size(DIGEST) is None
    assert not leftovers(layout)


def test_a_blob_of_the_wrong_size_is_replaced(layout: OciLayout) -> None:
    blob_file(layout.path, DIGEST).write_bytes(DATA[:5])
    assert layout.put_blob([DATA], DIGEST, len(DATA))
    assert b"".join(layout.open_blob(DIGEST)) == DATA


def test_what_a_killed_writer_left_is_written_over(layout: OciLayout) -> None:
    (layout.path / ".flywheel" / f"{DIGEST.hex}.part").write_bytes(b"half" * 10_000)
    assert layout.put_blob([DATA], DIGEST, len(DATA))
    assert b"".join(layout.open_blob(DIGEST)) == DATA


def test_many_writers_of_one_blob_store_it_once(layout: OciLayout) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: layout.put_blob([DATA], DIGEST, len(DATA)), range(40)))
    assert stored.count(True) == 1
    assert not leftovers(layout)


def test_many_writers_of_names_lose_none(layout: OciLayout) -> None:
    names = [f"v{number}" for number in range(30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: layout.set_names({name: descriptor(FIRST)}, ()), names))
    found = [layout.tag(name) for name in names]
    assert all(each is not None and each.digest.hex == FIRST.hex for each in found)


def test_entries_of_others_are_kept(layout: OciLayout) -> None:
    foreign = [
        {"mediaType": "x/y", "digest": ["odd"], "annotations": {"org.opencontainers.image.ref.name": 7}},
        {**descriptor(OTHER), "annotations": {"org.opencontainers.image.ref.name": "theirs", "more": "1"}},
    ]
    (layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": foreign, "extra": {"a": 1}}))
    layout.set_names({"v1": descriptor(FIRST)}, ())
    written = json.loads((layout.path / "index.json").read_text())
    assert written["manifests"][:2] == foreign
    assert written["extra"] == {"a": 1}


def test_a_taken_name_is_refused_and_a_moving_one_moves(layout: OciLayout) -> None:
    layout.set_names({"v1": descriptor(FIRST)}, ())
    with pytest.raises(NameTakenError) as caught:
        layout.set_names({"new": descriptor(OTHER), "v1": descriptor(OTHER)}, ())
    assert all(part in str(caught.value) for part in ("'v1'", str(FIRST), str(OTHER)))
    assert layout.tag("new") is None
    layout.set_names({"v1": descriptor(OTHER)}, moving=("v1",))
    found = layout.tag("v1")
    assert found is not None
    assert found.digest.hex == OTHER.hex
    listed = [entry["digest"] for entry in layout.index()["manifests"]]
    assert listed == [str(FIRST), str(OTHER)], "what is pulled by digest stays listed"


def test_setting_the_same_names_again_writes_nothing(layout: OciLayout) -> None:
    layout.set_names({"v1": descriptor(FIRST)}, ())
    before = (layout.path / "index.json").stat()
    layout.set_names({"v1": descriptor(FIRST)}, ())
    assert (layout.path / "index.json").stat().st_ino == before.st_ino


def test_a_name_for_what_is_not_there_is_not_written(layout: OciLayout) -> None:
    with pytest.raises(AbsentError):
        layout.set_names({"v1": descriptor(FIRST), "v2": descriptor(DIGEST)}, ())
    assert layout.tag("v1") is None


def test_a_name_of_two_contents_is_refused(layout: OciLayout) -> None:
    entries = [
        {**descriptor(digest), "annotations": {"org.opencontainers.image.ref.name": "v1"}} for digest in (FIRST, OTHER)
    ]
    (layout.path / "index.json").write_text(json.dumps({"manifests": entries}))
    with pytest.raises(InvalidInputError, match="more than one"):
        layout.tag("v1")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"manifests": {}}', '{"manifests": [1]}', "\xff"])
def test_a_malformed_index_is_refused(layout: OciLayout, text: str) -> None:
    (layout.path / "index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInputError):
        layout.tag("v1")


def test_a_large_index_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(b"[" * 5000)
    with pytest.raises(LimitExceededError):
        OciLayout(tmp_path, limits=Limits(manifest_bytes=4000)).index()


def test_another_layout_version_is_refused(layout: OciLayout) -> None:
    (layout.path / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(InvalidInputError, match=r"1\.0\.0"):
        layout.check()


def test_a_blob_that_is_a_link_out_of_the_folder_is_refused(layout: OciLayout, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    blob_file(layout.path, DIGEST).symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInputError, match="symbolic link"):
        list(layout.open_blob(DIGEST))


def test_a_blobs_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/sha256").mkdir(parents=True)
    (tmp_path / "elsewhere/sha256" / DIGEST.hex).write_bytes(DATA)
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout/blobs").symlink_to(tmp_path / "elsewhere")
    layout = OciLayout(tmp_path / "layout")
    with pytest.raises(InvalidInputError, match="symbolic link"):
        layout.blob_size(DIGEST)
    with pytest.raises(PublicationError, match="symbolic link"):
        layout.prepare()


def test_a_repository_that_is_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/app").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PublicationError, match="symbolic link"):
        OciLayout(tmp_path / "root", "app").prepare()
    with pytest.raises(InvalidInputError):
        OciLayout(tmp_path / "root", "app").index()


def test_a_fifo_is_refused_and_not_waited_for(layout: OciLayout) -> None:
    os.mkfifo(blob_file(layout.path, DIGEST))
    with pytest.raises(InvalidInputError, match="not a regular file"):
        list(layout.open_blob(DIGEST))


@pytest.mark.parametrize("repository", ["app/blobs/sha256", "app/index.json", "oci-layout"])
def test_a_repository_within_another_layout_is_refused(tmp_path: Path, repository: str) -> None:
    with pytest.raises(InvalidInputError):
        OciLayout(tmp_path, repository)


def test_an_absent_blob_and_an_absent_layout_are_told(tmp_path: Path) -> None:
    with pytest.raises(AbsentError):
        list(OciLayout(tmp_path).open_blob(DIGEST))
    with pytest.raises(AbsentError):
        OciLayout(tmp_path / "nowhere").check()
