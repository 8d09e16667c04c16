"""The other forms of an envelope's signatures: the same bytes whoever derives them, and what stock verifiers take."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.envelopes import bundles_of, form_of, without_key_ids
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.publications import Form

TYPE = "application/vnd.in-toto+json"


def envelope(*signatures: bytes, payload: bytes = b'{"a":1}', keyid: str = "somebody", **instead: object) -> bytes:
    """An envelope, with other fields or other values in place of its own."""
    entries = [{"keyid": keyid, "sig": base64.b64encode(each).decode()} for each in signatures]
    fields = {"payload": base64.b64encode(payload).decode(), "payloadType": TYPE, "signatures": entries}
    return json.dumps({**fields, **instead}, indent=1).encode()


def test_a_bundle_holds_the_payload_and_one_signature_and_names_no_key() -> None:
    (bundle,) = bundles_of(envelope(b"signature"), "x")
    assert json.loads(bundle) == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {
            "payload": "eyJhIjoxfQ==",
            "payloadType": TYPE,
            "signatures": [{"keyid": "", "sig": "c2lnbmF0dXJl"}],
        },
    }


def test_each_signature_gets_its_bundle() -> None:
    first, second = (json.loads(bundle) for bundle in bundles_of(envelope(b"one", b"two"), "x"))
    assert first["dsseEnvelope"]["signatures"] == [{"keyid": "", "sig": "b25l"}]
    assert second["dsseEnvelope"]["signatures"] == [{"keyid": "", "sig": "dHdv"}]
    assert first["dsseEnvelope"]["payload"] == second["dsseEnvelope"]["payload"]


def test_without_key_ids_all_signatures_stay() -> None:
    found = json.loads(without_key_ids(envelope(b"one", b"two"), "x"))
    assert found["signatures"] == [{"keyid": "", "sig": "b25l"}, {"keyid": "", "sig": "dHdv"}]
    assert (found["payload"], found["payloadType"]) == ("eyJhIjoxfQ==", TYPE)


@pytest.mark.parametrize("derive", [lambda data: bundles_of(data, "x"), lambda data: without_key_ids(data, "x")])
def test_hints_spelling_and_further_fields_change_nothing(derive: object) -> None:
    assert callable(derive)
    plain = derive(envelope(b"\xfb\xef\xff", payload=b"\xfb\xef\xff", keyid=""))
    other = envelope(b"\xfb\xef\xff", payload=b"\xfb\xef\xff", keyid="else", note="x")
    assert derive(other) == plain
    assert other.count(b"++//") == 2
    assert derive(other.replace(b"++//", b"--__")) == plain


@given(payload=st.binary(min_size=1, max_size=80), signature=st.binary(min_size=1, max_size=80))
def test_what_was_signed_is_in_each_form_byte_for_byte(payload: bytes, signature: bytes) -> None:
    data = envelope(signature, payload=payload)
    for found in (json.loads(bundles_of(data, "x")[0])["dsseEnvelope"], json.loads(without_key_ids(data, "x"))):
        assert base64.b64decode(found["payload"], validate=True) == payload
        assert base64.b64decode(found["signatures"][0]["sig"], validate=True) == signature


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        envelope(),
        envelope(b"x", payloadType="two words"),
        envelope(b"x", payloadType="\ud800"),
        envelope(b"x").replace(b"eyJhIjoxfQ==", b"no base64!"),
        envelope(b"x", signatures=[{"sig": 7}]),
        envelope(b"x", signatures=[{"sig": "aa"}] * 17),
        envelope(b"x").replace(b'"eyJhIjoxfQ=="', b"7"),
    ],
)
def test_what_is_no_signed_envelope_has_no_other_form(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"^the proof x"):
        bundles_of(data, "the proof x")
    with pytest.raises(InvalidInputError, match=r"^the proof x"):
        without_key_ids(data, "the proof x")


def test_a_bundle_and_an_envelope_are_told_apart_whatever_is_in_them() -> None:
    assert form_of(envelope(b"x"), "x") is Form.DSSE
    assert form_of(bundles_of(envelope(b"x"), "x")[0], "x") is Form.BUNDLE
    assert form_of(envelope(b"x", keyid="application/vnd.dev.sigstore.bundle"), "x") is Form.DSSE
    older = b'{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.2","dsseEnvelope":{}}'
    assert form_of(older, "x") is Form.BUNDLE
    with pytest.raises(InvalidInputError):
        form_of(b"no JSON", "x")
