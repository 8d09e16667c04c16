"""A Sigstore in miniature: a root and an intermediate CA, a certificate log, a transparency log with one other entry.

All keys and times are fixed and all signatures deterministic, so that the same calls give the same bytes.
"""

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from struct import pack
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flywheel_assets.adapters.signatures.annotations import CERTIFICATE, LOG_ENTRY
from flywheel_assets.adapters.signatures.keys import DsseSigner
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.ports import Identity

Json = dict[str, Any]
CURVE = ec.SECP256R1()
SIGNED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/example/tools/.github/workflows/publish.yml@refs/heads/main"
WHO = Identity(ISSUER, SUBJECT)
REPOSITORY, REVISION = "https://github.com/example/tools", "1234567890abcdef1234567890abcdef12345678"
FULCIO = "1.3.6.1.4.1.57264.1"
V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"


def key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, CURVE)


ROOT, INTERMEDIATE, CT_LOG, REKOR, LEAF, FOREIGN = (key(2**200 + number) for number in range(6))


def a_signer(name: str) -> DsseSigner:
    """A signer with a key of its own, the same for one name each time."""
    private = key(int.from_bytes(hashlib.sha256(name.encode()).digest()[1:]))
    return DsseSigner(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), name)


def sign(private: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return private.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def spki(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def log_id(private: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(spki(private)).digest()


def text(data: bytes) -> str:
    return b64encode(data).decode()


def utf8(value: str) -> bytes:
    """A DER UTF8String."""
    return _tagged(0x0C, value.encode())


def _tagged(tag: int, body: bytes) -> bytes:
    size = bytes([len(body)]) if len(body) < 128 else bytes([0x82]) + pack(">H", len(body))
    return bytes([tag]) + size + body


def _authority(name: str, private: ec.EllipticCurvePrivateKey, by: x509.Certificate | None) -> x509.Certificate:
    issuer_key, issuer = (private, _name(name)) if by is None else (ROOT, by.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(1 if by is None else 2)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1 if by is None else 0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if by is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    rest = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates, **rest
    )


ROOT_CA = _authority("root.example", ROOT, None)
CA = _authority("intermediate.example", INTERMEDIATE, ROOT_CA)


@dataclass(frozen=True)
class Person:
    """Who signs: what the certificate says, and which CA says it."""

    subject: str = SUBJECT
    issuer: str = ISSUER
    issuer_v2: str | None = None
    more_subjects: tuple[str, ...] = ()
    repository: str = REPOSITORY
    revision: str = REVISION
    ref: str = ""
    invocation: str = ""
    issued_by: ec.EllipticCurvePrivateKey = INTERMEDIATE
    logged_by: ec.EllipticCurvePrivateKey = CT_LOG
    issued_at: datetime = SIGNED_AT - timedelta(minutes=1)

    @property
    def certificate(self) -> x509.Certificate:
        """A certificate for ten minutes, with the log's timestamp over it inside."""
        bare = self._builder()
        unlogged = bare.sign(self.issued_by, hashes.SHA256(), ecdsa_deterministic=True)
        stamp = _timestamp(unlogged.tbs_certificate_bytes, self.issued_at, self.logged_by)
        logged = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), stamp)
        return bare.add_extension(logged, critical=False).sign(
            self.issued_by, hashes.SHA256(), ecdsa_deterministic=True
        )

    def _builder(self) -> x509.CertificateBuilder:
        subjects = (self.subject, *self.more_subjects)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject) for subject in subjects])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(CA.subject)
            .public_key(LEAF.public_key())
            .serial_number(3)
            .not_valid_before(self.issued_at)
            .not_valid_after(self.issued_at + timedelta(minutes=10))
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(LEAF.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issued_by.public_key()), critical=False
            )
            .add_extension(names, critical=True)
        )
        claims = {
            1: self.issuer.encode(),
            8: utf8(self.issuer_v2 or self.issuer),
            12: utf8(self.repository),
            13: utf8(self.revision),
            **({14: utf8(self.ref)} if self.ref else {}),
            **({21: utf8(self.invocation)} if self.invocation else {}),
        }
        for number, value in claims.items():
            claim = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{FULCIO}.{number}"), value)
            builder = builder.add_extension(claim, critical=False)
        return builder


def _timestamp(certificate: bytes, moment: datetime, log: ec.EllipticCurvePrivateKey) -> bytes:
    """An SCT list as the extension holds it (RFC 6962, section 3)."""
    issuer = log_id(INTERMEDIATE)
    when = pack(">Q", int(moment.timestamp() * 1000))
    entry = issuer + len(certificate).to_bytes(3, "big") + certificate
    signature = sign(log, b"\0\0" + when + b"\0\1" + entry + b"\0\0")
    sct = b"\0" + log_id(log) + when + b"\0\0" + b"\x04\x03" + pack(">H", len(signature)) + signature
    listed = pack(">H", len(sct)) + sct
    return _tagged(0x04, pack(">H", len(listed)) + listed)


def pae(payload: bytes, payload_type: str) -> bytes:
    return f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload


def log_entry(body: Json, at: datetime = SIGNED_AT) -> Json:
    """The transparency log's entry with its promise, and with the proof that it is the second of two."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    promise = {"body": text(canonical), "integratedTime": int(at.timestamp()), "logID": log_id(REKOR).hex()}
    promise |= {"logIndex": 1}
    first, second = hashlib.sha256(b"\0another").digest(), hashlib.sha256(b"\0" + canonical).digest()
    root = hashlib.sha256(b"\1" + first + second).digest()
    note = f"rekor.example - 1\n2\n{text(root)}\n"
    signature = text(log_id(REKOR)[:4] + sign(REKOR, note.encode()))
    return {
        "logIndex": "1",
        "logId": {"keyId": text(log_id(REKOR))},
        "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
        "integratedTime": str(promise["integratedTime"]),
        "inclusionPromise": {
            "signedEntryTimestamp": text(
                sign(REKOR, json.dumps(promise, sort_keys=True, separators=(",", ":")).encode())
            )
        },
        "inclusionProof": {
            "logIndex": "1",
            "rootHash": text(root),
            "treeSize": "2",
            "hashes": [text(first)],
            "checkpoint": {"envelope": f"{note}\n\u2014 rekor.example {signature}\n"},
        },
        "canonicalizedBody": text(canonical),
    }


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _hashed(digest: bytes, signature: bytes, certificate: x509.Certificate) -> Json:
    return {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
            "signature": {"content": text(signature), "publicKey": {"content": text(_pem(certificate))}},
        },
    }


def _enveloped(envelope: Json, payload: bytes, certificate: x509.Certificate) -> Json:
    signatures = [{"signature": each["sig"], "verifier": text(_pem(certificate))} for each in envelope["signatures"]]
    whole = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    return {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(whole).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": signatures,
        },
    }


def envelope_of(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> Json:
    signature = text(sign(LEAF, pae(payload, payload_type)))
    return {"payload": text(payload), "payloadType": payload_type, "signatures": [{"sig": signature}]}


def bundle(payload: bytes, who: Person | None = None, at: datetime = SIGNED_AT) -> Json:
    """A bundle v0.3 around an envelope, as cosign 3 and gh write it."""
    certificate = (who or Person()).certificate
    envelope = envelope_of(payload)
    entry = log_entry(_enveloped(envelope, payload, certificate), at)
    return {"mediaType": V03, "verificationMaterial": _material(certificate, entry), "dsseEnvelope": envelope}


def message_bundle(digest: bytes, who: Person | None = None, at: datetime = SIGNED_AT) -> Json:
    """A bundle v0.3 around the signature of what has this SHA-256, and is not inside."""
    certificate = (who or Person()).certificate
    signature = LEAF.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True))
    return {
        "mediaType": V03,
        "verificationMaterial": _material(certificate, log_entry(_hashed(digest, signature, certificate), at)),
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": text(digest)},
            "signature": text(signature),
        },
    }


def _material(certificate: x509.Certificate, entry: Json) -> Json:
    return {"certificate": {"rawBytes": text(certificate.public_bytes(Encoding.DER))}, "tlogEntries": [entry]}


def simple_signing(digest: str, reference: str = "registry.example/example/dashboard") -> bytes:
    """What cosign's first format signs for an image."""
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def signature_annotations(data: bytes, who: Person | None = None, at: datetime = SIGNED_AT) -> dict[str, str]:
    """The annotations beside a simple signing payload that was signed keyless."""
    certificate, signature = (who or Person()).certificate, sign(LEAF, data)
    entry = log_entry(_hashed(hashlib.sha256(data).digest(), signature, certificate), at)
    return {COSIGN_SIGNATURE: text(signature), **_beside(certificate, entry)}


def attestation_annotations(envelope: Json, payload: bytes, who: Person | None = None) -> dict[str, str]:
    """The annotations beside an envelope in cosign's first format of attestations."""
    certificate = (who or Person()).certificate
    return {COSIGN_SIGNATURE: "", **_beside(certificate, log_entry(_enveloped(envelope, payload, certificate)))}


def _beside(certificate: x509.Certificate, entry: Json) -> dict[str, str]:
    payload = {
        "body": entry["canonicalizedBody"],
        "integratedTime": int(entry["integratedTime"]),
        "logIndex": int(entry["logIndex"]),
        "logID": log_id(REKOR).hex(),
    }
    promise = entry["inclusionPromise"]["signedEntryTimestamp"]
    beside = {"SignedEntryTimestamp": promise, "Payload": payload}
    return {CERTIFICATE: _pem(certificate).decode(), LOG_ENTRY: json.dumps(beside)}


def trusted_root() -> str:
    """The trust root of all this, JSON."""
    start = {"start": "2026-01-01T00:00:00Z"}

    def log(private: ec.EllipticCurvePrivateKey, url: str) -> Json:
        public = {"rawBytes": text(spki(private)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": start}
        logged = {"keyId": text(log_id(private))}
        return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": logged}

    chain = [{"rawBytes": text(ca.public_bytes(Encoding.DER))} for ca in (CA, ROOT_CA)]
    root = {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [log(REKOR, "https://rekor.example")],
        "certificateAuthorities": [
            {
                "subject": {"organization": "example", "commonName": "example"},
                "uri": "https://fulcio.example",
                "certChain": {"certificates": chain},
                "validFor": start,
            }
        ],
        "ctlogs": [log(CT_LOG, "https://ct.example")],
        "timestampAuthorities": list[Json](),
    }
    return json.dumps(root, indent=1) + "\n"


def but(**changes: Any) -> Person:
    """The usual signer with something else about it."""
    return replace(Person(), **changes)
