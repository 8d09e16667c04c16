"""Certificates for servers of tests: an authority of their own, a server's, and a client's; all of them for one day."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, each in a PEM file."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """``ca`` signed both others; the server's is for 127.0.0.1 and localhost."""

    ca: Path
    server: Pair
    client: Pair


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certify(
    name: str, key: rsa.RSAPrivateKey, signer: tuple[x509.Name, rsa.RSAPrivateKey] | None = None
) -> x509.Certificate:
    """A certificate for ``key``, signed by ``signer``, or by itself and then an authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing_key = signer or (subject, key)
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signing_key, SHA256())
    )


def write_pair(folder: Path, name: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair


def make_certificates(folder: Path) -> Certificates:
    ca_key = rsa_key()
    ca = certify("a test's authority", ca_key)
    pairs = []
    for name in ("server", "client"):
        key = rsa_key()
        pairs.append(write_pair(folder, name, certify(name, key, (ca.subject, ca_key)), key))
    return Certificates(write_pair(folder, "ca", ca, ca_key).certificate, pairs[0], pairs[1])
