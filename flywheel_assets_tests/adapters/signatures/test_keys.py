"""Keys and envelopes: only what the very key signed over the very bytes counts, and secrets stay where they are."""

import base64
import json
import multiprocessing
import stat
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.signatures.envelopes import MAX_SIGNATURES
from flywheel_assets.adapters.signatures.keys import DsseSigner, create_once, key_file
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, UsageError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import Checked

SPAWN = multiprocessing.get_context("spawn")
PAYLOAD, TYPE = b"hello world", "http://example.com/HelloWorld"
PAE = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"  # DSSE v1.0.2, protocol.md, test vectors


def pem_of(private: Any) -> bytes:
    made: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made


def public_of(private: Any) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(private.public_key().public_bytes(serialization.Encoding.PEM, spki).decode())


P256, ED25519 = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
SIGNER = DsseSigner(pem_of(P256), "signer.pem")
OTHER = DsseSigner(pem_of(ec.generate_private_key(ec.SECP256R1())), "other.pem")
ENVELOPE: dict[str, Any] = json.loads(SIGNER.sign(PAYLOAD, TYPE))


def check(envelope: dict[str, Any], **keys: DsseSigner) -> Checked:
    offered = {name: signer.public_key for name, signer in (keys or {"mine": SIGNER}).items()}
    return SignatureVerifier().check(json.dumps(envelope).encode(), "receipt.json", offered)


def changed(**signature: Any) -> dict[str, Any]:
    return {**ENVELOPE, "signatures": [{**ENVELOPE["signatures"][0], **signature}]}


def test_what_is_signed_is_the_pre_authentication_encoding_of_the_specification() -> None:
    signature = base64.b64decode(ENVELOPE["signatures"][0]["sig"])
    P256.public_key().verify(signature, PAE, ec.ECDSA(SHA256()))


def test_a_signature_over_the_vector_of_the_specification_verifies() -> None:
    signature = base64.b64encode(P256.sign(PAE, ec.ECDSA(SHA256()))).decode()
    assert check(changed(sig=signature)).keys == ("mine",)


def test_a_signature_over_the_bare_payload_is_none() -> None:
    signature = base64.b64encode(P256.sign(PAYLOAD, ec.ECDSA(SHA256()))).decode()
    found = check(changed(sig=signature))
    assert (found.keys, found.invalid) == ((), ("mine",))


@pytest.mark.parametrize("private", [P256, ED25519], ids=["P-256", "Ed25519"])
def test_what_one_signs_the_other_verifies(private: Any) -> None:
    signer = DsseSigner(pem_of(private), "key.pem")
    found = SignatureVerifier().check(signer.sign(PAYLOAD, TYPE), "x", {"mine": public_of(private)})
    assert found == Checked(PAYLOAD, TYPE, ("mine",), (), ())
    assert signer.public_key == public_of(private)


@given(payload=st.binary(max_size=300), kind=st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_any_bytes_of_any_type_come_back(payload: bytes, kind: str) -> None:
    found = SignatureVerifier().check(SIGNER.sign(payload, kind), "x", {"mine": SIGNER.public_key})
    assert (found.payload, found.payload_type, found.keys) == (payload, kind, ("mine",))


def test_envelopes_are_canonical_json() -> None:
    data = SIGNER.sign(PAYLOAD, TYPE)
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert SIGNER.keyid == json.loads(data)["signatures"][0]["keyid"]


def test_another_key_does_not_verify_it_and_says_whose_it_may_be() -> None:
    found = check(ENVELOPE, other=OTHER)
    assert (found.keys, found.unknown, found.invalid) == ((), (SIGNER.keyid,), ())


def test_without_keys_and_without_signatures_nothing_is_claimed() -> None:
    assert SignatureVerifier().check(SIGNER.sign(PAYLOAD, TYPE), "x", {}).unknown == (SIGNER.keyid,)
    unsigned = check({**ENVELOPE, "signatures": []})
    assert (unsigned.keys, unsigned.unknown, unsigned.invalid) == ((), (), ())


@pytest.mark.parametrize(
    "keyid", ["", "somebody", OTHER.keyid, "\x1b[31m"], ids=["none", "somebody", "other", "escape"]
)
def test_a_key_id_is_a_hint_and_no_more(keyid: str) -> None:
    assert check(changed(keyid=keyid), mine=SIGNER, other=OTHER).keys == ("mine",)
    missing = changed()
    del missing["signatures"][0]["keyid"]
    assert check(missing).keys == ("mine",)


def test_a_stranger_under_our_key_id_is_an_invalid_signature() -> None:
    forged = json.loads(OTHER.sign(PAYLOAD, TYPE))["signatures"][0]["sig"]
    found = check(changed(sig=forged))
    assert (found.keys, found.unknown, found.invalid) == ((), (), ("mine",))
    nameless = check(changed(sig=forged, keyid=""))
    assert (nameless.keys, nameless.unknown, nameless.invalid) == ((), ("(no key id)",), ())


@pytest.mark.parametrize("part", ["payload", "payloadType"])
def test_a_payload_or_type_that_was_changed_is_not_what_was_signed(part: str) -> None:
    value = base64.b64encode(b"hello w0rld").decode() if part == "payload" else TYPE + "2"
    found = check({**ENVELOPE, part: value})
    assert (found.keys, found.invalid) == ((), ("mine",))


@given(signature=st.binary(max_size=200))
def test_no_random_bytes_are_a_signature_nor_break_anything(signature: bytes) -> None:
    forged = changed(sig=base64.b64encode(signature).decode())
    assert check(forged, mine=SIGNER, ed=DsseSigner(pem_of(ED25519), "ed")).keys == ()


def test_both_base64_alphabets_are_read() -> None:
    payload = bytes([0xFB, 0xEF, 0xFF] * 5)
    envelope = json.loads(SIGNER.sign(payload, TYPE))
    assert "+" in envelope["payload"] or "/" in envelope["payload"]
    url = {
        "payload": envelope["payload"].replace("+", "-").replace("/", "_"),
        "payloadType": TYPE,
        "signatures": [
            {**envelope["signatures"][0], "sig": envelope["signatures"][0]["sig"].replace("+", "-").replace("/", "_")}
        ],
    }
    found = check(url)
    assert (found.payload, found.keys) == (payload, ("mine",))


def test_one_signature_twice_counts_once_and_two_signers_count_both() -> None:
    doubled = {**ENVELOPE, "signatures": ENVELOPE["signatures"] * 3}
    assert check(doubled).keys == ("mine",)
    second = json.loads(OTHER.sign(PAYLOAD, TYPE))["signatures"]
    assert check({**ENVELOPE, "signatures": ENVELOPE["signatures"] + second}, a=SIGNER, b=OTHER).keys == ("a", "b")


def test_a_good_signature_beside_a_bad_one_does_not_hide_it() -> None:
    bad = {"keyid": OTHER.keyid, "sig": ENVELOPE["signatures"][0]["sig"]}
    wrong = {"keyid": OTHER.keyid, "sig": base64.b64encode(b"nonsense").decode()}
    found = check({**ENVELOPE, "signatures": [*ENVELOPE["signatures"], bad, wrong]}, mine=SIGNER, other=OTHER)
    assert (found.keys, found.invalid) == (("mine",), ("other",))


def test_too_many_signatures_are_refused_before_any_is_verified() -> None:
    assert check({**ENVELOPE, "signatures": ENVELOPE["signatures"] * MAX_SIGNATURES}).keys == ("mine",)
    with pytest.raises(InvalidInputError, match=r"^receipt\.json: signatures: is not a list of at most 16\. Emit a"):
        check({**ENVELOPE, "signatures": ENVELOPE["signatures"] * (MAX_SIGNATURES + 1)})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"payload": None}, "payload"),
        ({"payload": 7}, "payload"),
        ({"payload": "not base64!"}, "payload"),
        ({"payload": "aGVsbG8"}, "payload"),
        ({"payload": "aGVsbG8gd29ybGQ=\n"}, "payload"),
        ({"payload": "é"}, "payload"),
        ({"payloadType": None}, "payloadType"),
        ({"payloadType": ["x"]}, "payloadType"),
        ({"signatures": None}, "signatures"),
        ({"signatures": {}}, "signatures"),
        ({"signatures": ["x"]}, "signatures.0"),
        ({"signatures": [{"keyid": 1, "sig": ""}]}, "signatures.0"),
        ({"signatures": [{"keyid": "x"}]}, "signatures.0.sig"),
        ({"signatures": [{"keyid": "x", "sig": "%"}]}, "signatures.0.sig"),
    ],
)
def test_what_is_no_envelope_is_named_by_file_and_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check({**ENVELOPE, **change})
    assert (refused.value.document, refused.value.field) == ("receipt.json", field)


def test_an_envelope_over_the_limits_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        SignatureVerifier(limits=Limits(receipt_bytes=100, signature_material_bytes=0)).check(
            SIGNER.sign(b"x" * 200, TYPE), "x", {}
        )


OLD = dsa.generate_private_key(1024)  # noqa: S505 - it is here to be refused
MALFORMED_KEYS = {
    "empty": "",
    "nonsense": "nonsense",
    "not ASCII": "-----BEGIN PUBLIC KEY-----\né\n-----END PUBLIC KEY-----\n",
    "cut": SIGNER.public_key[:80],
    "private": pem_of(P256).decode(),
    "for exchange only": public_of(x25519.X25519PrivateKey.generate()),
    "of a curve without use": public_of(ec.generate_private_key(ec.SECP256K1())),
    "of an old algorithm": public_of(OLD),
}


@pytest.mark.parametrize("pem", MALFORMED_KEYS.values(), ids=MALFORMED_KEYS.keys())
def test_a_public_key_that_is_none_is_refused_by_name(pem: str) -> None:
    with pytest.raises(UsageError) as refused:
        SignatureVerifier().check(SIGNER.sign(PAYLOAD, TYPE), "x", {"release": pem})
    assert str(refused.value) == "The key release is not a public key in PEM (SubjectPublicKeyInfo)."


MALFORMED_PRIVATE = {
    "empty": b"",
    "nonsense": b"nonsense",
    "public": SIGNER.public_key.encode(),
    "for exchange only": pem_of(x25519.X25519PrivateKey.generate()),
    "of a curve without use": pem_of(ec.generate_private_key(ec.SECP256K1())),
    "of an old algorithm": pem_of(OLD),
    "encrypted": P256.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    ),
}


@pytest.mark.parametrize("pem", MALFORMED_PRIVATE.values(), ids=MALFORMED_PRIVATE.keys())
def test_a_private_key_that_cannot_sign_is_refused_by_its_file(pem: bytes) -> None:
    with pytest.raises(UsageError) as refused:
        DsseSigner(pem, "keys/release.pem")
    assert str(refused.value) == "keys/release.pem is not an unencrypted PKCS #8 private key in PEM."


# Files


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys/release.pem"
    first = key_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.with_suffix(".pub").read_text() == first.public_key
    data = path.read_bytes()
    assert key_file(path).public_key == first.public_key
    assert path.read_bytes() == data
    assert sorted(each.name for each in path.parent.iterdir()) == ["release.pem", "release.pub"]


def test_a_public_half_that_was_lost_is_written_again_from_the_key(tmp_path: Path) -> None:
    first = key_file(tmp_path / "release.pem")
    (tmp_path / "release.pub").unlink()
    assert key_file(tmp_path / "release.pem").public_key == first.public_key
    assert (tmp_path / "release.pub").read_text() == first.public_key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_private_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "release.pem"
    key_file(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"chmod 600 {path}"):
        key_file(path)


def make_key(folder: Path, number: int) -> None:
    ready = folder / "ready"
    while not ready.exists():
        pass
    (folder / f"got.{number}").write_text(key_file(folder / "keys/key.pem").public_key)


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    processes = [SPAWN.Process(target=make_key, args=(tmp_path, number)) for number in range(3)]
    for process in processes:
        process.start()
    (tmp_path / "ready").touch()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len({(tmp_path / f"got.{number}").read_text() for number in range(3)}) == 1


def test_threads_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    """And so do containers that share a folder, each of which is process 1."""
    for number in range(10):
        with ThreadPoolExecutor(8) as pool:
            keys = pool.map(lambda _, n=number: key_file(tmp_path / f"{n}.pem").public_key, range(8))
        assert len(set(keys)) == 1
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_file_is_created_whole_or_left_as_it_is(tmp_path: Path) -> None:
    assert create_once(tmp_path / "a/b", b"first", 0o600)
    assert not create_once(tmp_path / "a/b", b"second", 0o644)
    assert (tmp_path / "a/b").read_bytes() == b"first"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


# Secrets


def secrets_of(pem: bytes) -> list[str]:
    body = "".join(pem.decode().splitlines()[1:-1])
    raw = P256.private_numbers().private_value
    return [body, body[:40], f"{raw:x}", str(raw)]


def spoken(action: Callable[[], object]) -> str:
    try:
        return repr(action())
    except Exception:  # noqa: BLE001 - whatever is said about it
        return traceback.format_exc()


def test_no_text_about_a_signer_holds_its_secret(tmp_path: Path) -> None:
    pem = pem_of(P256)
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    broken = tmp_path / "broken.pem"
    broken.write_bytes(pem.replace(b"-----END", b"--END"))
    path.chmod(0o600)
    broken.chmod(0o600)
    texts = [
        repr(SIGNER),
        str(SIGNER),
        f"{SIGNER.keyid} {SIGNER.public_key}",
        repr(vars(SIGNER)),
        SIGNER.sign(PAYLOAD, TYPE).decode(),
        spoken(lambda: key_file(path)),
        spoken(lambda: key_file(broken)),
        spoken(lambda: DsseSigner(pem[:-40], "cut.pem")),
        spoken(lambda: SignatureVerifier().check(b"{}", "x", {"key": pem.decode()})),
        spoken(lambda: SignatureVerifier().check(SIGNER.sign(b"", TYPE), "x", {"key": pem.decode()})),
        (tmp_path / "key.pub").read_text(),
    ]
    for text in texts:
        for secret in secrets_of(pem):
            assert secret not in text
