"""Secrets come from the environment or files when they are needed, and show nowhere else."""

import base64
from pathlib import Path

import pytest

import flywheel_assets
from flywheel_assets.adapters.http.credentials import ANONYMOUS
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.models import Credential
from flywheel_assets.domain.errors import UnauthorisedError, UsageError
from flywheel_assets.wiring.secrets import credentials, unset

HOST = "cache.example"


def test_a_surface_without_a_credential_is_read_anonymously(tmp_path: Path) -> None:
    found = credentials(tmp_path, None, "attic-main", {})
    assert found is ANONYMOUS
    assert found.authorization(HOST) is None


def test_secrets_that_are_not_in_the_environment_are_named_with_what_needs_them(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("surfaces: {flakehub: {forge: {credential: {bearer: 'env:PUBLISHING_TOKEN'}}}}")
    found = load_catalogue([Path(flywheel_assets.__file__).parent / "catalog" / "gloriousflywheel.yaml", overlay])
    assert list(unset(found, {"GHCR_TOKEN": "t"})) == [
        "PUBLISHING_TOKEN is not set here, and holds the secret of surfaces.flakehub.forge.credential."
    ]
    assert list(unset(found, {"GHCR_TOKEN": "t", "PUBLISHING_TOKEN": "t"})) == []


def test_a_bearer_token_comes_from_the_environment(tmp_path: Path) -> None:
    found = credentials(tmp_path, Credential(bearer="env:ATTIC_TOKEN"), "attic-main", {"ATTIC_TOKEN": "t0p"})
    assert found.authorization(HOST) == "Bearer t0p"
    assert "t0p" not in repr(found)


def test_user_and_password_become_basic_auth(tmp_path: Path) -> None:
    declared = Credential(user="ci", password="env:CACHE_PASSWORD")
    found = credentials(tmp_path, declared, "bazel-cache", {"CACHE_PASSWORD": "pass:word"})
    assert found.authorization(HOST) == "Basic " + base64.b64encode(b"ci:pass:word").decode()
    assert "pass:word" not in repr(found)


def test_a_secret_in_a_file_is_read_anew_each_time_and_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    found = credentials(tmp_path, Credential(bearer="file:token"), "attic-main", {})
    assert found.authorization(HOST) == "Bearer first"
    (tmp_path / "token").write_text("rotated\n")
    assert found.authorization(HOST) == "Bearer rotated"


def test_a_netrc_file_answers_for_its_hosts_alone(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine {HOST} login ci password s3cret\n")
    found = credentials(tmp_path, Credential(netrc="file:netrc"), "attic-main", {})
    assert found.authorization(HOST) == "Basic " + base64.b64encode(b"ci:s3cret").decode()
    assert found.authorization("other.example") is None


def test_a_missing_variable_is_named_when_it_is_needed_and_not_before(tmp_path: Path) -> None:
    found = credentials(tmp_path, Credential(bearer="env:ATTIC_TOKEN"), "attic-main", {})
    with pytest.raises(UnauthorisedError, match=r"attic-main is to be in ATTIC_TOKEN, which is not set"):
        found.authorization(HOST)


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_missing_or_empty_secret_file_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    found = credentials(tmp_path, Credential(bearer="file:token"), "attic-main", {})
    with pytest.raises(UnauthorisedError, match=f"{tmp_path}/token, which"):
        found.authorization(HOST)


def test_a_secret_that_no_header_can_carry_is_refused_without_being_shown(tmp_path: Path) -> None:
    found = credentials(tmp_path, Credential(bearer="env:T"), "attic-main", {"T": "s3cret\r\nX-Evil: 1"})
    with pytest.raises(UsageError) as refused:
        found.authorization(HOST)
    assert "s3cret" not in str(refused.value)


def test_certificates_are_files_below_the_working_folder(tmp_path: Path) -> None:
    declared = Credential(certificate="file:keys/client.pem", certificate_key="file:/run/client.key", ca="file:ca.pem")
    found = credentials(tmp_path, declared, "bazel-cache", {})
    assert found.certificate == tmp_path / "keys/client.pem"
    assert found.certificate_key == Path("/run/client.key")
    assert found.ca == tmp_path / "ca.pem"
