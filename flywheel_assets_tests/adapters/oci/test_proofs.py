"""Proofs beside an image: each in its forms, once, whoever else writes there; and what others leave does no harm."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from flywheel_assets.adapters.oci.attaching import ATTEMPTS, attach
from flywheel_assets.adapters.oci.cosign import cosign_tag
from flywheel_assets.adapters.oci.documents import ChildDescriptor
from flywheel_assets.adapters.oci.layout import OciLayout
from flywheel_assets.adapters.oci.proofs import Found, find_proofs
from flywheel_assets.adapters.oci.referrers import DSSE, EMPTY_CONFIG, EMPTY_TYPE, Descriptor, descriptor
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets.domain.digests import ManifestDigest, Sha256
from flywheel_assets.domain.envelopes import BUNDLE_V03, bundles_of, without_key_ids
from flywheel_assets.domain.errors import (
    InvalidInputError,
    LimitExceededError,
    PublicationError,
    RateLimitedError,
    ReadError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Attached, Form, Proof
from flywheel_assets.domain.statements import PROVENANCE_V1, SIMPLE_SIGNING, canonical
from flywheel_assets_tests.adapters.oci.attaching import (
    PLACES,
    a_signer,
    digest_of,
    made_for,
    put,
    put_image,
    repository_at,
    simple_signing,
)
from flywheel_assets_tests.adapters.oci.images import CONFIG, MANIFEST


@pytest.fixture(params=PLACES)
def repository(request: pytest.FixtureRequest) -> Repository:
    return repository_at(request, request.param)


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> OciLayout:
    found = repository_at(request, "layout")
    assert isinstance(found, OciLayout)
    return found


def found_in(repository: Repository, subject: Descriptor, limits: Limits = DEFAULT_LIMITS) -> list[Found]:
    return list(find_proofs(repository, digest_of(subject), limits, lambda _: None))


def attached_in(repository: Repository, subject: Descriptor) -> list[Attached]:
    return [found.attached for found in found_in(repository, subject) if found.attached is not None]


def holds(repository: Repository, subject: Descriptor, proof: Proof) -> int:
    """How often the proof is found as it was given."""
    wanted = Attached(data=proof.envelope, form=proof.form, annotations=proof.annotations)
    return attached_in(repository, subject).count(wanted)


def tagged(repository: Repository, subject: Descriptor, suffix: str) -> dict[str, Any]:
    found = repository.tag(cosign_tag(digest_of(subject), suffix))
    assert found is not None
    manifest: dict[str, Any] = json.loads(b"".join(repository.open_manifest(found.digest)))
    return manifest


def everything(repository: Repository, subject: Descriptor) -> tuple[list[str], object, object]:
    """What a consumer is led to: the referrers, and cosign's two manifests."""
    listed = sorted(str(entry["digest"]) for entry in repository.referrers(digest_of(subject)))
    return listed, tagged(repository, subject, "sig"), tagged(repository, subject, "att")


# Attaching


def test_every_proof_is_found_as_it_was_given_and_in_its_other_forms(repository: Repository) -> None:
    subject = put_image(repository)
    made = made_for(subject)
    attach(repository, subject, made.all, DEFAULT_LIMITS)
    for proof in made.all:
        assert holds(repository, subject, proof) == 1, proof.name
    found = attached_in(repository, subject)
    for envelope in (made.provenance.envelope, made.vsa.envelope):
        assert [each.data for each in found if each.form is Form.BUNDLE].count(bundles_of(envelope, "x")[0]) == 1
        assert Attached(data=without_key_ids(envelope, "x")) in found
    readings = [each.reading for each in found_in(repository, subject)]
    assert all((each.state, each.digest) == (ReadState.READ, each.expected_digest) for each in readings)
    assert {each.member.partition(" ")[0] for each in readings} == {"referrer", "proof"}


def test_referrers_say_what_they_are_where_lists_are_filtered(repository: Repository) -> None:
    subject = put_image(repository)
    attach(repository, subject, made_for(subject).all, DEFAULT_LIMITS)
    entries = repository.referrers(digest_of(subject))
    assert sorted(str(entry["artifactType"]) for entry in entries) == sorted([DSSE] * 2 + [BUNDLE_V03] * 3)
    for entry in entries:
        manifest = json.loads(b"".join(repository.open_manifest(ManifestDigest(entry["digest"]))))
        assert manifest["artifactType"] == entry["artifactType"]
        assert manifest["subject"] == subject


def test_attaching_again_changes_nothing(repository: Repository) -> None:
    subject = put_image(repository)
    made = made_for(subject)
    attach(repository, subject, made.all, DEFAULT_LIMITS)
    first = everything(repository, subject)
    attach(repository, subject, made.all, DEFAULT_LIMITS)
    attach(repository, subject, tuple(reversed(made.all)), DEFAULT_LIMITS)
    attach(repository, subject, (), DEFAULT_LIMITS)
    assert everything(repository, subject) == first


def test_one_by_one_in_any_order_gives_the_same_as_all_at_once(repository: Repository) -> None:
    one, other = put_image(repository), put_image(repository, "arm64")
    made = made_for(one)
    attach(repository, one, made.all, DEFAULT_LIMITS)
    for proof in reversed(made.all):
        attach(repository, other, [proof], DEFAULT_LIMITS)
    assert everything(repository, one)[1:] == everything(repository, other)[1:]
    assert len(everything(repository, other)[0]) == 5


def test_many_who_attach_at_once_end_up_with_the_union_once_each(repository: Repository) -> None:
    subject = put_image(repository)
    shared = made_for(subject)
    others = [made_for(subject, note=str(number)) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: attach(repository, subject, (*each.all, *shared.all), DEFAULT_LIMITS), others))
    for made in (shared, *others):
        for proof in made.all:
            assert holds(repository, subject, proof) == 1
    assert len(tagged(repository, subject, "sig")["layers"]) == 5
    assert len(tagged(repository, subject, "att")["layers"]) == 10
    assert len(repository.referrers(digest_of(subject))) == 25


class Stalled:
    """A repository in which a stalled writer puts back what it read long ago, a few times."""

    def __init__(self, repository: Repository, times: int) -> None:
        self._repository, self._times = repository, times
        self._stale: dict[str, Descriptor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def tag(self, name: str) -> ChildDescriptor | None:
        found = self._repository.tag(name)
        if found is not None and name not in self._stale:
            self._stale[name] = {"mediaType": found.media_type, "digest": str(found.digest), "size": found.size}
        return found

    def set_names(self, wanted: Mapping[str, Descriptor], moving: Collection[str]) -> None:
        self._repository.set_names(wanted, moving)
        (name,) = wanted
        if name in self._stale and self._times:
            self._times -= 1
            self._repository.set_names({name: self._stale[name]}, moving)


def test_what_a_stalled_writer_takes_away_is_merged_again(repository: Repository) -> None:
    subject = put_image(repository)
    theirs = simple_signing(a_signer(), subject, "theirs")
    attach(repository, subject, [theirs], DEFAULT_LIMITS)
    made = made_for(subject)
    attach(Stalled(repository, 3), subject, made.all, DEFAULT_LIMITS)
    assert all(holds(repository, subject, proof) == 1 for proof in (theirs, *made.all))


class Forgetful:
    """A repository that forgets, a few times, what was just listed."""

    def __init__(self, repository: Repository, times: int) -> None:
        self._repository, self.times = repository, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def list_referrers(self, subject: Descriptor, entries: Sequence[Descriptor]) -> None:
        self.times -= 1
        self._repository.list_referrers(subject, entries[:1] if self.times >= 0 else entries)


def test_what_a_registry_lists_no_longer_is_listed_again(layout: OciLayout) -> None:
    subject = put_image(layout)
    made, forgetful = made_for(subject), Forgetful(layout, 2)
    attach(forgetful, subject, made.all, DEFAULT_LIMITS)
    assert forgetful.times < 0
    assert all(holds(layout, subject, proof) == 1 for proof in made.all)
    assert len(layout.referrers(digest_of(subject))) == 5


def test_others_who_never_stop_are_an_error_and_not_a_publication(layout: OciLayout) -> None:
    subject = put_image(layout)
    attach(layout, subject, [simple_signing(a_signer(), subject, "theirs")], DEFAULT_LIMITS)
    with pytest.raises(PublicationError, match=r"others keep replacing the signatures of sha256:.*Promote again\.$"):
        attach(Stalled(layout, 1000), subject, made_for(subject).all, DEFAULT_LIMITS)


KEYLESS = {
    "dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----",
    "dev.sigstore.cosign/chain": "-----BEGIN CERTIFICATE-----",
    "dev.sigstore.cosign/bundle": '{"SignedEntryTimestamp":"x"}',
}


def put_tagged(repository: Repository, subject: Descriptor, suffix: str, **fields: Any) -> None:
    """A manifest under one of cosign's tags, as another tool wrote it."""
    config = b'{"history":[{"created":"2026-01-01T00:00:00Z"}]}'
    put(repository, config)
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": [], **fields}
    ).encode()
    repository.put_manifest(manifest, MANIFEST)
    tag = cosign_tag(digest_of(subject), suffix)
    repository.set_names({tag: descriptor(MANIFEST, manifest)}, moving=[tag])


def test_a_keyless_signature_that_is_there_stays_as_it_is_and_is_found(repository: Repository) -> None:
    subject = put_image(repository)
    keyless = simple_signing(a_signer(), subject, "keyless", **KEYLESS)
    put(repository, keyless.envelope)
    layer = descriptor(SIMPLE_SIGNING, keyless.envelope, annotations={**keyless.annotations, "note": "kept"})
    annotations = {"big": "1" * 40, "org.example": "kept"}
    put_tagged(repository, subject, "sig", layers=[layer], annotations=annotations)
    made = made_for(subject)
    attach(repository, subject, made.all, DEFAULT_LIMITS)
    manifest = tagged(repository, subject, "sig")
    assert layer in manifest["layers"]
    assert len(manifest["layers"]) == 2
    assert manifest["annotations"] == annotations
    assert holds(repository, subject, keyless) == 1
    assert holds(repository, subject, made.signature) == 1


def test_two_signatures_of_one_payload_are_two(repository: Repository) -> None:
    subject = put_image(repository)
    ours, theirs = simple_signing(a_signer(), subject), simple_signing(a_signer(), subject)
    assert ours.envelope == theirs.envelope
    attach(repository, subject, [theirs], DEFAULT_LIMITS)
    attach(repository, subject, [ours], DEFAULT_LIMITS)
    assert (holds(repository, subject, ours), holds(repository, subject, theirs)) == (1, 1)


def test_numbers_that_canonical_json_cannot_spell_do_not_keep_ours_out(layout: OciLayout) -> None:
    subject = put_image(layout)
    put_tagged(layout, subject, "att", x=2**70, y=1.5, z="\ud800")
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    assert (tagged(layout, subject, "att")["x"], tagged(layout, subject, "att")["z"]) == (2**70, "\ud800")
    assert len(tagged(layout, subject, "att")["layers"]) == 2


INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    "nonsense",
    [
        canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}),
        b"no JSON",
        b'{"schemaVersion":2,"layers":[7]}',
    ],
    ids=["an index", "no JSON", "no layers"],
)
def test_nonsense_under_a_tag_of_cosigns_does_not_keep_ours_out(layout: OciLayout, nonsense: bytes) -> None:
    subject = put_image(layout)
    put(layout, nonsense)
    tag = cosign_tag(digest_of(subject), "sig")
    layout.set_names({tag: descriptor(INDEX, nonsense)}, moving=[tag])
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    assert all(holds(layout, subject, proof) == 1 for proof in made.all)


@pytest.mark.parametrize(
    "fields",
    [
        {"annotations": {str(number): "x" * 60_000 for number in range(80)}},
        {"annotations": {"dev.sigstore.cosign/chain": "x" * 70_000}},
        {"layers": [descriptor(DSSE, b"%d" % number) for number in range(DEFAULT_LIMITS.cosign_layers + 1)]},
    ],
    ids=["too large", "too long a text", "too many layers"],
)
def test_what_is_too_much_for_us_under_a_tag_of_cosigns_is_not_written_over(
    layout: OciLayout, fields: dict[str, Any]
) -> None:
    subject = put_image(layout)
    put_tagged(layout, subject, "att", **fields)
    before = layout.tag(cosign_tag(digest_of(subject), "att"))
    with pytest.raises(LimitExceededError, match=r":sha256-.*not written over: delete what nobody needs"):
        attach(layout, subject, made_for(subject).all, DEFAULT_LIMITS)
    assert layout.tag(cosign_tag(digest_of(subject), "att")) == before


def test_a_tag_that_cannot_be_read_is_not_written_over(layout: OciLayout) -> None:
    subject = put_image(layout)
    theirs = simple_signing(a_signer(), subject, "theirs")
    attach(layout, subject, [theirs], DEFAULT_LIMITS)
    found = layout.tag(cosign_tag(digest_of(subject), "sig"))
    assert found is not None
    with pytest.raises(UnreadableError):
        attach(Failing(layout, found.digest, UnreadableError("x")), subject, made_for(subject).all, DEFAULT_LIMITS)
    assert holds(layout, subject, theirs) == 1


def test_a_proof_that_is_no_envelope_is_refused_by_name_and_leaves_nothing(layout: OciLayout) -> None:
    subject = put_image(layout)
    broken = Proof(name="vsa", predicate_type="t", envelope=b'{"payload":"dnNh"}')
    before = sorted(layout.path.rglob("*"))
    with pytest.raises(InvalidInputError, match=r"^the proof vsa: payloadType"):
        attach(layout, subject, [made_for(subject).provenance, broken], DEFAULT_LIMITS)
    assert sorted(layout.path.rglob("*")) == before


def test_provenance_that_is_a_bundle_stays_the_bundle_that_it_is(repository: Repository) -> None:
    subject = put_image(repository)
    bundle = b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope":{}}'
    proof = Proof(name="provenance", predicate_type=PROVENANCE_V1, envelope=bundle, form=Form.BUNDLE)
    attach(repository, subject, [proof], DEFAULT_LIMITS)
    assert attached_in(repository, subject) == [Attached(data=bundle, form=Form.BUNDLE)]
    assert repository.tag(cosign_tag(digest_of(subject), "att")) is None


# Reading


def refer(
    repository: Repository,
    subject: Descriptor,
    data: bytes,
    *,
    media_type: str = DSSE,
    listed_for: Descriptor | None = None,
    **entry: Any,
) -> Descriptor:
    """What another tool attaches; the entry in the list says what the test wants it to say."""
    for each in (EMPTY_CONFIG, data):
        put(repository, each)
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": media_type,
            "config": descriptor(EMPTY_TYPE, EMPTY_CONFIG),
            "layers": [descriptor(media_type, data)],
            "subject": subject,
        }
    )
    repository.put_manifest(manifest, MANIFEST)
    listed = {**descriptor(MANIFEST, manifest, artifactType=media_type), **entry}
    repository.list_referrers(listed_for or subject, [listed])
    return listed


def test_nothing_is_found_beside_an_image_that_has_nothing(repository: Repository) -> None:
    assert found_in(repository, put_image(repository)) == []


def test_what_another_tool_attached_is_found_by_what_its_layer_is(layout: OciLayout) -> None:
    subject = put_image(layout)
    refer(layout, subject, b"envelope", artifactType=EMPTY_TYPE)
    refer(layout, subject, b"bundle", media_type="application/vnd.dev.sigstore.bundle+json")
    refer(layout, subject, b"an SBOM", media_type="application/spdx+json")
    found = sorted((each.data, each.form) for each in attached_in(layout, subject))
    assert found == [(b"bundle", Form.BUNDLE), (b"envelope", Form.DSSE)]


def overwrite(layout: OciLayout, digest: object, data: bytes | None) -> None:
    path = layout.path / "blobs/sha256" / str(digest).removeprefix("sha256:")
    path.chmod(0o644)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def foreign_gone(layout: OciLayout, subject: Descriptor) -> None:
    overwrite(layout, refer(layout, subject, b"gone")["digest"], None)


def foreign_layer_gone(layout: OciLayout, subject: Descriptor) -> None:
    refer(layout, subject, b"gone")
    overwrite(layout, Sha256.of(b"gone"), None)


def foreign_changed(layout: OciLayout, subject: Descriptor) -> None:
    overwrite(layout, refer(layout, subject, b"changed")["digest"], b"{}")


def foreign_layer_changed(layout: OciLayout, subject: Descriptor) -> None:
    refer(layout, subject, b"changed")
    overwrite(layout, Sha256.of(b"changed"), b"other")


def foreign_nonsense(layout: OciLayout, subject: Descriptor) -> None:
    for data in (b"", b"no JSON", b"[]", b'{"schemaVersion":2,"layers":7}', b"[" * 1000):
        put(layout, data)
        layout.list_referrers(subject, [descriptor(MANIFEST, data, artifactType=DSSE)])


def foreign_about_another(layout: OciLayout, subject: Descriptor) -> None:
    refer(layout, put_image(layout, "s390x"), b"other", listed_for=subject)


def foreign_huge(layout: OciLayout, subject: Descriptor) -> None:
    refer(layout, subject, b" " * (DEFAULT_LIMITS.signed_bytes + 1))


def foreign_tags(layout: OciLayout, subject: Descriptor) -> None:
    for suffix in ("sig", "att"):
        fields = {"layers": [{"mediaType": SIMPLE_SIGNING, "digest": "sha256:" + "0" * 64, "size": 3}]}
        put_tagged(layout, subject, suffix, **fields)


@pytest.mark.parametrize(
    "break_something",
    [
        foreign_gone,
        foreign_layer_gone,
        foreign_changed,
        foreign_layer_changed,
        foreign_nonsense,
        foreign_about_another,
        foreign_huge,
        foreign_tags,
    ],
)
def test_what_others_left_broken_is_passed_over_and_ours_is_found(
    layout: OciLayout, break_something: Callable[[OciLayout, Descriptor], None]
) -> None:
    subject = put_image(layout)
    break_something(layout, subject)
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    assert all(holds(layout, subject, proof) == 1 for proof in made.all)
    ours = {proof.envelope for proof in made.all}
    derived = {form for proof in (made.provenance, made.vsa) for form in bundles_of(proof.envelope, "x")}
    plain = {without_key_ids(proof.envelope, "x") for proof in (made.provenance, made.vsa)}
    assert {each.data for each in attached_in(layout, subject)} == ours | derived | plain
    assert all(each.reading.state is ReadState.READ for each in found_in(layout, subject))


def test_ours_changed_by_one_byte_is_not_found(layout: OciLayout) -> None:
    subject = put_image(layout)
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    for proof in made.all:
        data = proof.envelope
        overwrite(layout, proof.digest, data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        assert holds(layout, subject, proof) == 0
        overwrite(layout, proof.digest, data)
        assert holds(layout, subject, proof) == 1


def test_annotations_that_are_no_text_or_of_no_signature_are_left_out(layout: OciLayout) -> None:
    subject = put_image(layout)
    put(layout, b"payload")
    annotations = {
        "dev.cosignproject.cosign/signature": "c2ln",
        "dev.sigstore.cosign/chain": 7,
        "dev.sigstore.cosign/bundle": "",
        "predicateType": "x",
    }
    layers = [
        {**descriptor(SIMPLE_SIGNING, b"payload"), "annotations": annotations},
        {**descriptor(SIMPLE_SIGNING, b"payload"), "annotations": ["no", "mapping"]},
    ]
    put_tagged(layout, subject, "sig", layers=layers)
    kept = {"dev.cosignproject.cosign/signature": "c2ln"}
    assert attached_in(layout, subject) == [
        Attached(data=b"payload", form=Form.SIMPLE_SIGNING, annotations=kept),
        Attached(data=b"payload", form=Form.SIMPLE_SIGNING),
    ]


class Failing:
    """A repository that fails in one way to give one object."""

    def __init__(self, repository: Repository, digest: Sha256, error: Exception) -> None:
        self._repository, self._digest, self._error = repository, digest, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def open_blob(self, digest: Sha256) -> Iterator[bytes]:
        return self._open(digest, self._repository.open_blob)

    def open_manifest(self, digest: Sha256) -> Iterator[bytes]:
        return self._open(digest, self._repository.open_manifest)

    def _open(self, digest: Sha256, really: Callable[[Sha256], Iterator[bytes]]) -> Iterator[bytes]:
        if str(digest) == str(self._digest):
            raise self._error
        yield from really(digest)


@pytest.mark.parametrize("error", [UnreadableError("x"), UnauthorisedError("x"), RateLimitedError("x")])
def test_what_could_not_be_read_is_an_error_and_not_absent(layout: OciLayout, error: ReadError) -> None:
    subject = put_image(layout)
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    manifest = ManifestDigest(layout.referrers(digest_of(subject))[0]["digest"])
    for digest in (made.vsa.digest, made.signature.digest, manifest):
        with pytest.raises(type(error)):
            found_in(Failing(layout, digest, error), subject)


def test_of_more_bytes_than_the_limits_allow_the_largest_are_passed_over(layout: OciLayout) -> None:
    subject = put_image(layout)
    attach(layout, subject, made_for(subject).all, DEFAULT_LIMITS)
    sizes = sorted(len(each.data) for each in attached_in(layout, subject))
    small = replace(DEFAULT_LIMITS, proofs_bytes=sum(sizes[:5]) + 1)
    assert sorted(len(f.attached.data) for f in found_in(layout, subject, small) if f.attached) == sizes[:5]


def put_layers(layout: OciLayout, count: int, template: bytes) -> list[Descriptor]:
    found = []
    for number in range(count):
        put(layout, template % number)
        found.append(descriptor(SIMPLE_SIGNING, template % number))
    return found


def test_what_others_pile_up_does_not_crowd_out_ours(layout: OciLayout) -> None:
    subject = put_image(layout)
    for number in range(12):
        refer(layout, subject, bytes([number]) * DEFAULT_LIMITS.signed_bytes)
    put_tagged(layout, subject, "sig", layers=put_layers(layout, 60, b"%09000d") * 9)
    put_tagged(layout, subject, "att", layers=put_layers(layout, 60, b"%01d") * 9)
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    assert all(holds(layout, subject, proof) == 1 for proof in made.all)
    read: list[int] = []
    list(find_proofs(layout, digest_of(subject), DEFAULT_LIMITS, read.append))
    assert sum(read) < DEFAULT_LIMITS.proofs_bytes + 2 * DEFAULT_LIMITS.manifest_bytes


def padded(layout: OciLayout, subject: Descriptor, number: int, size: int) -> Descriptor:
    """A foreign referrer with a manifest of some more than ``size`` bytes."""
    put(layout, EMPTY_CONFIG)
    fields = {"artifactType": DSSE, "config": descriptor(EMPTY_TYPE, EMPTY_CONFIG), "layers": [], "subject": subject}
    padding = {f"{number}-{part}": "x" * 50_000 for part in range(size // 50_000)}
    manifest = canonical({"schemaVersion": 2, "mediaType": MANIFEST, **fields, "annotations": padding})
    layout.put_manifest(manifest, MANIFEST)
    return descriptor(MANIFEST, manifest, artifactType=DSSE)


def test_manifests_that_are_larger_than_any_that_names_a_proof_are_not_read(layout: OciLayout) -> None:
    subject = put_image(layout)
    layout.list_referrers(subject, [padded(layout, subject, number, 3_000_000) for number in range(4)])
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    read: list[int] = []
    found = list(find_proofs(layout, digest_of(subject), DEFAULT_LIMITS, read.append))
    assert {proof.envelope for proof in made.all} <= {each.attached.data for each in found if each.attached}
    assert sum(read) < 100_000


def test_manifests_that_are_larger_than_their_list_says_are_refused_before_they_are_all_read(
    layout: OciLayout,
) -> None:
    subject = put_image(layout)
    entries = [{**padded(layout, subject, number, 900_000), "size": 10} for number in range(60)]
    layout.list_referrers(subject, entries)
    read: list[int] = []
    small = replace(DEFAULT_LIMITS, proofs=100, proof_manifest_bytes=20_000)
    with pytest.raises(LimitExceededError, match="far more bytes than their list says"):
        list(find_proofs(layout, digest_of(subject), small, read.append))
    assert sum(read) < 30_000_000


def test_others_who_lie_about_the_size_of_ours_do_not_hide_them(layout: OciLayout) -> None:
    subject = put_image(layout)
    made = made_for(subject)
    attach(layout, subject, made.all, DEFAULT_LIMITS)
    before = attached_in(layout, subject)
    layers = [{**layer, "size": size} for layer in tagged(layout, subject, "sig")["layers"] for size in (1, 10**6)]
    put_tagged(layout, subject, "sig", layers=[*layers, *tagged(layout, subject, "sig")["layers"]])
    assert attached_in(layout, subject) == before


def test_a_layer_that_is_longer_than_it_says_is_not_read_on(layout: OciLayout) -> None:
    subject = put_image(layout)
    data = b" " * 3_000_000
    put(layout, data)
    put_tagged(layout, subject, "att", layers=[{**descriptor(DSSE, data), "size": 10}])
    read: list[int] = []
    assert [f.attached for f in find_proofs(layout, digest_of(subject), DEFAULT_LIMITS, read.append)] == [None]
    assert sum(read) < 2_000_000


def test_the_bounds_leave_room_for_what_is_attached_in_practice() -> None:
    assert DEFAULT_LIMITS.proofs >= 64
    assert DEFAULT_LIMITS.signed_bytes > DEFAULT_LIMITS.receipt_bytes * 4 / 3
    assert ATTEMPTS >= 3
