"""Verification: offline, from the reference and the public key alone; one byte off anywhere and it does not hold."""

import json
import random
import shutil
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE, bundles_of
from flywheel_assets.domain.errors import FlywheelError, InvalidInputError, ReadBackError, ReadError, SignatureError
from flywheel_assets.domain.publications import Attached, Form
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.promotion.verification import Verified, verify_reference
from flywheel_assets.wiring import published_reader
from flywheel_assets_tests.promotion.installation import (
    Installation,
    a_signer,
    publication_of,
    published,
    resigned,
    statement_of,
)

OUTPUTS = ("tide-clock", "harbor-map-image", "tide-clock-image")


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    """The published surfaces and the public key, and nothing else of the installation."""
    source = published()
    shutil.copytree(source.home / "surfaces", tmp_path / "home/surfaces")
    (tmp_path / "home/keys").mkdir()
    shutil.copy(source.home / "keys/release.pub", tmp_path / "home/keys")
    return Installation(tmp_path / "home")


def reference(place: Installation, output: str) -> str:
    return publication_of(output).reference.replace(str(published().home), str(place.home))


def verify(place: Installation, what: str, public_key: str | None = None) -> Verified:
    wanted = reference(place, what) if what in OUTPUTS else what
    reader, verifier = published_reader(wanted)
    pem = public_key or (place.home / "keys/release.pub").read_text()
    return verify_reference(reader, verifier, pem, wanted, lambda count: None)


def proofs(place: Installation, output: str) -> dict[str, Path]:
    """The files of the proofs beside an artifact that this project reads: its provenance and its summary, as signed."""
    flywheel, found = published().open(), {}
    envelopes = [flywheel.evidence.get(digest) for digest in publication_of(output).proofs[:2]]
    for path in place.home.joinpath("surfaces").rglob("*"):
        if path.is_file() and path.read_bytes() in envelopes:
            is_summary = "verification_summary" in statement_of(path.read_bytes())["predicateType"]
            found["vsa" if is_summary else "provenance"] = path
    return {kind: found[kind] for kind in ("vsa", "provenance")}


def is_for_cosign(data: bytes) -> bool:
    """Whether a file of a layout is one of the forms that cosign reads, and checks itself."""
    try:
        document = json.loads(data)
    except ValueError:
        return False
    layers = [layer.get("mediaType", "") for layer in document.get("layers", [])]
    return (
        "critical" in document
        or "dsseEnvelope" in document
        or document.get("signatures", [{}])[0].get("keyid") == ""
        or document.get("architecture") == ""
        or any("sigstore.bundle" in layer or "simplesigning" in layer for layer in layers)
        or bool(layers and "subject" not in document and set(layers) == {"application/vnd.dsse.envelope.v1+json"})
    )


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_was_published_verifies_from_its_folder_and_the_public_key(place: Installation, output: str) -> None:
    found = verify(place, output)
    assert "FLYWHEEL_PROMOTED" in found.summary.levels
    assert found.bytes_read > 0
    document = found.document()
    assert list(document) == [
        "reference", "digest", "resource", "levels", "verified_at", "verifier", "source", "builder", "run",
        "bytes_read",
    ]  # fmt: skip
    assert document["source"].startswith("https://github.com/tinyland-inc/harbor-tools@")


def test_nothing_is_asked_of_any_network(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_keywords: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for output in OUTPUTS:
        verify(place, output)


def test_a_tag_verifies_like_the_digest_that_it_names(place: Installation) -> None:
    layout = reference(place, "harbor-map-image").partition("@")[0]
    assert verify(place, f"{layout}:main").receipt == verify(place, "harbor-map-image").receipt


FLAKE_HASH = "jn9x1db32k4q6c11srix0675096b8r3f"

# Flipped bytes. For each file that verification has no business with, the reason why.

IRRELEVANT: dict[str, Callable[[str, bytes], bool]] = {
    "a lock that holds nothing": lambda name, data: ".flywheel" in name or not data,
    "the empty JSON that stands for a proof's configuration": lambda name, data: data == b"{}",
    "what is there for cosign": lambda name, data: is_for_cosign(data),
    "the image of another workflow": lambda name, data: "/runner-dashboard/" in name,
    "the product of another reference": lambda name, data: is_of_flake(name),
}


@cache
def nar_of_flake() -> str:
    """The file that holds the flake's bytes, which its own tests verify."""
    info = published().home / "surfaces/durable-nix" / f"{FLAKE_HASH}.narinfo"
    return info.read_text().split("URL: ")[1].splitlines()[0]


def is_of_flake(name: str) -> bool:
    return FLAKE_HASH in name or name.endswith(nar_of_flake())


def belongs(output: str, name: str) -> bool:
    folder = {"tide-clock": "durable-nix", "harbor-map-image": "/harbor-map/", "tide-clock-image": "/tide-clock/"}
    return folder[output] in name


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def says_the_same(one: bytes, other: bytes) -> bool:
    """Whether two envelopes differ in a hint, or in bits of their base64 that stand for nothing."""
    try:
        first, second = json.loads(one), json.loads(other)
        return first["payloadType"] == second["payloadType"] and all(
            b64decode(mine, validate=True) == b64decode(theirs, validate=True)
            for mine, theirs in (
                (first["payload"], second["payload"]),
                (first["signatures"][0]["sig"], second["signatures"][0]["sig"]),
            )
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return False


def holds(place: Installation, output: str) -> bool:
    try:
        verify(place, output)
    except FlywheelError:
        return False
    return True


# Signatures of narinfos are for Nix, which checks them itself; our summary covers what they sign. The deriver is
# said by nobody who is trusted. An index and its own hints name more than the one reference that is verified.
MAY_HOLD = {
    ".narinfo": (b"Sig:", b"Deriver:"),
    "nix-cache-info": (b"WantMassQuery:", b"Priority:"),
}


@pytest.fixture
def bare(place: Installation) -> Installation:
    """Without the forms for cosign, in which the summary would be found whatever its own envelope is."""
    for name, data in place.files("surfaces").items():
        if is_for_cosign(data):
            (place.home / name).unlink()
    return place


def test_a_flipped_byte_in_any_file_of_a_publication_is_noticed(bare: Installation) -> None:
    place = bare
    chance = random.Random(20261123)  # noqa: S311 - the same bytes in every run
    tried: dict[str, int] = dict.fromkeys(OUTPUTS, 0)
    for name, data in place.files("surfaces").items():
        owners = [output for output in OUTPUTS if belongs(output, name)]
        if not owners or any(reason(name, data) for reason in IRRELEVANT.values()):
            continue
        (output,) = owners
        path = place.home / name
        for position in sorted({0, len(data) // 2, len(data) - 2, chance.randrange(len(data))}):
            line_start = data.rfind(b"\n", 0, position) + 1
            line = data[line_start:].partition(b"\n")[0]
            hints = next((hints for end, hints in MAY_HOLD.items() if name.endswith(end)), ())
            if line.startswith(hints or b"\x00nothing"):
                continue
            path.write_bytes(flipped(data, position))
            held = holds(place, output)
            path.write_bytes(data)
            harmless = name.endswith("vsa.dsse.json") and says_the_same(data, flipped(data, position))
            in_index = name.endswith(("index.json", "oci-layout"))
            assert not held or harmless or in_index, f"{name} at {position}"
            tried[output] += 1
        assert holds(place, output)
    assert min(tried.values()) >= 15, tried


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_position_of_the_summary_counts_but_the_hint_whose_key_it_is(bare: Installation, output: str) -> None:
    place = bare
    path = proofs(place, output)["vsa"]
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        if not says_the_same(data, flipped(data, position)):
            path.write_bytes(flipped(data, position))
            assert not holds(place, output), position
    path.write_bytes(data)
    assert holds(place, output)


def test_a_file_that_is_gone_is_noticed(bare: Installation) -> None:
    place = bare
    for name, data in place.files("surfaces").items():
        owners = [output for output in OUTPUTS if belongs(output, name)]
        if not owners or any(reason(name, data) for reason in IRRELEVANT.values()):
            continue
        (place.home / name).unlink()
        assert not holds(place, owners[0]), name
        (place.home / name).write_bytes(data)
    assert all(holds(place, output) for output in OUTPUTS)


@pytest.mark.parametrize("output", ["harbor-map-image", "tide-clock-image"])
def test_what_is_there_for_cosign_may_be_gone_or_broken(place: Installation, output: str) -> None:
    touched = 0
    for name, data in place.files("surfaces").items():
        if belongs(output, name) and is_for_cosign(data):
            (place.home / name).write_bytes(flipped(data, len(data) // 2))
            touched += 1
    assert touched == 2 * 3 + 3 + 2 * 2, "bundles with their manifests; the layers of .sig and .att; those with configs"
    assert holds(place, output)


@pytest.mark.parametrize("output", ["harbor-map-image", "tide-clock-image"])
def test_the_summary_will_do_in_another_form_and_the_provenance_will_not(place: Installation, output: str) -> None:
    found = proofs(place, output)
    summary, provenance = found["vsa"].read_bytes(), found["provenance"].read_bytes()
    found["vsa"].unlink()
    verified = verify(place, output)
    assert sorted(verified.envelopes) == ["provenance.dsse.json", "vsa.dsse.json"]
    assert verified.envelopes["vsa.dsse.json"] != summary
    assert statement_of(verified.envelopes["vsa.dsse.json"]) == statement_of(summary)
    found["vsa"].write_bytes(summary)
    found["provenance"].unlink()
    with pytest.raises(ReadBackError, match="the provenance that the summary names is not beside it"):
        verify(place, output)
    found["provenance"].write_bytes(provenance)


# Proofs


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_consumer_may_keep_both_envelopes_as_they_were_signed(place: Installation, output: str) -> None:
    files = {f"{kind}.dsse.json": path.read_bytes() for kind, path in proofs(place, output).items()}
    assert verify(place, output).envelopes == files


@pytest.mark.parametrize("output", OUTPUTS)
def test_another_key_verifies_nothing(place: Installation, output: str) -> None:
    with pytest.raises(SignatureError) as refused:
        verify(place, output, a_signer("stranger").public_key)
    sentence = f"{reference(place, output)} carries no verification summary that this key signed. What a workflow "
    assert str(refused.value).startswith(sentence)
    with pytest.raises(SignatureError):
        verify(place, output, (published().home / "keys/verifier.pub").read_text())


def test_what_carries_no_proofs_was_not_published_here(place: Installation) -> None:
    shutil.rmtree(place.home / "surfaces/durable-nix/attestations")
    with pytest.raises(SignatureError, match=r"carries no proofs at all\. It was not published by this pipeline\. "):
        verify(place, "tide-clock")


def test_a_published_image_of_another_workflow_was_not_published_here(place: Installation) -> None:
    record = publication_of("runner-dashboard-image")
    with pytest.raises(
        SignatureError, match=r"only observes, has no summary .*: verify that by the workflow's signature\.$"
    ):
        verify(place, record.reference.replace(str(published().home), str(place.home)))


class Shelf:
    """ports.PublishedReader over the proofs of a publication, which tests exchange."""

    def __init__(self, place: Installation, output: str) -> None:
        self._reader, self.verifier = published_reader(reference(place, output))
        self.read = self._reader.read
        self.identity = self._reader.identity
        self.revision, self.resource = self._reader.revision, self._reader.resource
        self.envelopes = {kind: path.read_bytes() for kind, path in proofs(place, output).items()}
        self.beside: list[Attached] = []

    def proofs(self) -> tuple[Attached, ...]:
        return (*self.beside, *(Attached(data=data) for data in self.envelopes.values()))

    def verify(self, pem: str) -> Verified:
        return verify_reference(self, self.verifier, pem, "it", lambda count: None)


@pytest.fixture
def shelf(place: Installation) -> Shelf:
    found = Shelf(place, "tide-clock")
    found.envelopes["vsa"] = resigned(found.envelopes["vsa"], a_signer("release"), lambda statement: statement)
    return found


KEY = a_signer("release").public_key


def change(shelf: Shelf, **predicate: object) -> None:
    shelf.envelopes["vsa"] = resigned(
        shelf.envelopes["vsa"], a_signer("release"), lambda statement: statement["predicate"].update(predicate)
    )


def test_the_shelf_of_the_tests_below_verifies_as_it_is(shelf: Shelf) -> None:
    assert shelf.verify(KEY).bytes_read > 0


def test_a_failed_summary_is_no_approval(shelf: Shelf) -> None:
    change(shelf, verificationResult="FAILED", verifiedLevels=[])
    with pytest.raises(ReadBackError, match=r"^it is withdrawn: the publisher's summary of .* says FAILED\.$"):
        shelf.verify(KEY)
    change(shelf, verificationResult="FAILED", verifiedLevels=["FLYWHEEL_PROMOTED"])
    with pytest.raises(ReadBackError, match="is withdrawn: "):
        shelf.verify(KEY)


def test_a_summary_that_says_validated_only_is_no_approval(shelf: Shelf) -> None:
    change(shelf, verifiedLevels=["SLSA_BUILD_LEVEL_2", "FLYWHEEL_VALIDATED"])
    with pytest.raises(
        ReadBackError,
        match=r"^it: the summary says PASSED with levels SLSA_BUILD_LEVEL_2, FLYWHEEL_VALIDATED, not promoted\.$",
    ):
        shelf.verify(KEY)


def test_a_summary_without_its_provenance_is_no_approval(shelf: Shelf) -> None:
    del shelf.envelopes["provenance"]
    with pytest.raises(ReadBackError, match=r"^it: the provenance that the summary names is not beside it\.$"):
        shelf.verify(KEY)
    change(shelf, inputAttestations=[])
    with pytest.raises(ReadBackError, match="is not beside it"):
        shelf.verify(KEY)


@pytest.mark.parametrize("other", ["harbor-map-image", "tide-clock-image"])
def test_the_proofs_of_another_artifact_are_no_approval(place: Installation, other: str) -> None:
    shelf, pem = Shelf(place, "tide-clock"), (place.home / "keys/release.pub").read_text()
    own = dict(shelf.envelopes)
    shelf.envelopes = Shelf(place, other).envelopes
    with pytest.raises(ReadBackError, match=r"^it: the summary speaks of another artifact\.$"):
        shelf.verify(pem)
    shelf.envelopes = {**own, "vsa": shelf.envelopes["vsa"]}
    # The image's summary names the closure's provenance too, since the image is made of it.
    reason = "the summary speaks of another" if other == "tide-clock-image" else "the provenance that the summary names"
    with pytest.raises(ReadBackError, match=reason):
        shelf.verify(pem)
    shelf.envelopes = {**{f"other {k}": v for k, v in Shelf(place, other).envelopes.items()}, **own}
    assert shelf.verify(pem).bytes_read, "what lies beside the right ones does no harm"


def test_a_summary_moved_over_on_the_surface_is_no_approval(place: Installation) -> None:
    other = proofs(place, "tide-clock-image")["vsa"].read_bytes()
    proofs(place, "tide-clock")["vsa"].write_bytes(other)
    with pytest.raises(ReadBackError, match=r"the summary speaks of another artifact\.$"):
        verify(place, "tide-clock")


def test_foreign_and_broken_proofs_beside_the_right_ones_do_no_harm(shelf: Shelf) -> None:
    garbage = {f"g{n}": data for n, data in enumerate((b"", b"{}", b"\xff", b'{"payload":1}', b"[" * 100))}
    stranger = {"stranger": resigned(shelf.envelopes["vsa"], a_signer("stranger"), lambda statement: statement)}
    signed = {"signed": a_signer("release").sign(b"{}", "application/json")}
    shelf.envelopes = {**garbage, **stranger, **signed, **shelf.envelopes}
    assert shelf.verify(KEY).bytes_read


def test_other_forms_beside_the_right_ones_do_no_harm_whoever_signed_them(shelf: Shelf) -> None:
    release, stranger = a_signer("release"), a_signer("stranger")
    for signer in (release, stranger):
        signature = b64encode(signer.sign_bytes(b"{}")).decode()
        shelf.beside += [
            Attached(data=bundles_of(signer.sign(b"{}", PAYLOAD_TYPE), "x")[0], form=Form.BUNDLE),
            Attached(data=b"{}", form=Form.SIMPLE_SIGNING, annotations={COSIGN_SIGNATURE: signature}),
            Attached(data=b"{}", form=Form.SIMPLE_SIGNING),
            Attached(data=shelf.envelopes["vsa"], form=Form.SIMPLE_SIGNING),
            Attached(data=b"\xff", form=Form.BUNDLE),
        ]
    assert shelf.verify(KEY).envelopes == {f"{kind}.dsse.json": data for kind, data in shelf.envelopes.items()}


def test_a_summary_in_a_bundle_alone_will_do_and_says_so_in_the_name_of_its_file(shelf: Shelf) -> None:
    (bundle,) = bundles_of(shelf.envelopes.pop("vsa"), "x")
    shelf.beside = [Attached(data=bundle, form=Form.BUNDLE)]
    assert shelf.verify(KEY).envelopes["vsa.sigstore.json"] == bundle
    changed = json.loads(bundle)
    payload = b64decode(changed["dsseEnvelope"]["payload"])
    changed["dsseEnvelope"]["payload"] = b64encode(payload.replace(b"PASSED", b"PASSEd")).decode()
    shelf.beside = [Attached(data=json.dumps(changed).encode(), form=Form.BUNDLE)]
    with pytest.raises(SignatureError):
        shelf.verify(KEY)


def test_unsigned_evidence_that_the_summary_names_does_not_hide_the_provenance(shelf: Shelf) -> None:
    bare = json.dumps(statement_of(shelf.envelopes["provenance"])).encode()
    named = statement_of(shelf.envelopes["vsa"])["predicate"]["inputAttestations"]
    change(shelf, inputAttestations=[{"uri": "x", "digest": {"sha256": EvidenceDigest.of(bare).hex}}, *named])
    shelf.beside = [Attached(data=bare)]
    assert shelf.verify(KEY).bytes_read


@pytest.mark.parametrize("field", ["verifier", "resourceUri", "verificationResult", "verifiedLevels", "timeVerified"])
def test_a_summary_that_lacks_a_field_is_none(shelf: Shelf, field: str) -> None:
    shelf.envelopes["vsa"] = resigned(
        shelf.envelopes["vsa"], a_signer("release"), lambda statement: statement["predicate"].pop(field)
    )
    with pytest.raises(SignatureError, match="carries no verification summary that this key signed"):
        shelf.verify(KEY)


def test_a_surface_that_cannot_be_read_is_no_approval(place: Installation) -> None:
    shutil.rmtree(place.home / "surfaces")
    for output in OUTPUTS:
        with pytest.raises((ReadError, SignatureError, InvalidInputError)):
            verify(place, output)


def test_nothing_that_reads_back_is_no_approval(shelf: Shelf) -> None:
    shelf.read = lambda artifact, progress: ()
    with pytest.raises(ReadBackError, match=r"^it: nothing could be read\.$"):
        shelf.verify(KEY)
