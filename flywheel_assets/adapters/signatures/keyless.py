"""Keyless signatures, verified offline against a trust root by the sigstore library, which costs a second to import.

Verified are the certificate's chain at the time of signing, its entry in the certificate log, the entry in the
transparency log, and that all of it speaks of this signature. Nothing is ever fetched.
"""

import struct

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore._internal.trust import RekorKeyring
from sigstore.errors import Error, VerificationError
from sigstore.hashes import Hashed
from sigstore.models import Bundle as SigstoreBundle
from sigstore.models import InvalidBundle, TransparencyLogEntry, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.common.v1 import HashAlgorithm
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootModel

from flywheel_assets.adapters.signatures.bundles import Bundle
from flywheel_assets.adapters.signatures.certificates import Claims, claims_of
from flywheel_assets.domain.errors import FlywheelError, UsageError, printable

# What the library lets through besides its own errors when a bundle is hostile.
REFUSALS = (
    Error,
    FlywheelError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    OSError,
    struct.error,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class Keyless:
    """Verifies bundles that carry a certificate against one trust root."""

    def __init__(self, trust_root: str) -> None:
        """Take a trusted root in JSON. Raises UsageError when it cannot be used."""
        try:
            self._verifier = Verifier(trusted_root=TrustedRoot(TrustedRootModel.from_json(trust_root)))
        except REFUSALS as error:
            raise UsageError(
                f"The trust root cannot be used, it is no Sigstore trusted root: {_reason(error)}."
            ) from error

    def problem(self, bundle: Bundle, claims: Claims) -> str:
        """Why the bundle's content is not signed by whom its certificate claims; empty when it is."""
        content, policy = bundle.content, _Is(claims)
        try:
            parsed = (_PromisedBundle if bundle.promised else SigstoreBundle).from_json(bundle.raw)
            if not content.is_envelope:
                hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=content.digest)
                self._verifier.verify_artifact(hashed, parsed, policy)
            elif self._verifier.verify_dsse(parsed, policy) != (content.payload_type, content.payload):
                raise VerificationError("the bundle holds two payloads")
        except REFUSALS as error:
            return _reason(error)
        return ""


def _reason(error: Exception) -> str:
    """The library's reason without the values that it appends."""
    reason = str(error).partition("\n")[0].partition(": expected ")[0]
    return printable(reason or type(error).__name__, 200)


class _Is:
    """A policy of the library: the certificate that it verified is the one whose claims were read here."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    def verify(self, cert: x509.Certificate) -> None:
        if claims_of(cert.public_bytes(Encoding.DER), "bundle") != self._claims:
            raise VerificationError("the bundle holds two certificates")


class _PromisedEntry(TransparencyLogEntry):
    """A log entry that the log only promised to include, as cosign's first formats keep it."""

    def _validate(self) -> None:
        if self._inner.inclusion_promise is None or self._inner.integrated_time is None:
            raise InvalidBundle("the log entry carries no signed promise")

    def _verify(self, keyring: RekorKeyring) -> None:
        self._verify_set(keyring)


class _PromisedBundle(SigstoreBundle):
    """A bundle made of cosign's annotations; everything but the proof of inclusion is verified as in any other."""

    def _verify(self) -> None:
        material = self._inner.verification_material
        if material.x509_certificate_chain is None or len(material.tlog_entries) != 1:
            raise InvalidBundle("expected exactly one log entry beside the signature")
        (leaf,) = material.x509_certificate_chain.certificates
        self._signing_certificate = x509.load_der_x509_certificate(leaf.raw_bytes)
        self._log_entry = _PromisedEntry(material.tlog_entries[0])
