"""What a consumer's environment decides: whether S3 is asked anonymously."""

import os

import pytest

from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.wiring import published_reader
from flywheel_assets_tests.adapters.nix.making import closure, ignored, made, s3_environment
from flywheel_assets_tests.scripted import Answer, Scripted

APP = made("app")
STAMP = {"Last-Modified": "Wed, 25 Nov 2026 10:00:00 GMT", "ETag": '"x"'}


def reading_of(artifact: NixClosure) -> ReadState:
    reader, _ = published_reader(f"s3://bucket/cache#{APP.path}")
    assert reader.proofs() == ()
    (reading,) = reader.read(artifact, ignored)
    return reading.state


@pytest.fixture
def bucket(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A public bucket with an empty cache, which is the machine's metadata service too, to see that nobody asks it."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    environment = s3_environment(scripted.url) | {"AWS_METADATA_ENDPOINT": scripted.url}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    scripted.answers["/bucket/cache/nix-cache-info"] = lambda asked: Answer(
        206 if asked.headers["Range"] else 200, STAMP | {"Content-Range": "bytes 0-20/21"}, b"StoreDir: /nix/store\n"
    )
    return scripted


def test_a_public_bucket_is_read_anonymously_where_the_environment_has_no_credential(
    bucket: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert reading_of(closure(APP)) is ReadState.ABSENT
    assert {(asked.path.split("/")[1], asked.headers["Authorization"]) for asked in bucket.asked} == {("bucket", None)}


def test_a_private_bucket_is_shown_the_credential_of_the_environment(bucket: Scripted) -> None:
    assert reading_of(closure(APP)) is ReadState.ABSENT
    assert all("Credential=anybody/" in str(asked.headers["Authorization"]) for asked in bucket.asked)
