"""What a keyless signer's certificate claims: who signed, by whose word, and from which source.

Nothing here says that a certificate may be believed. Source: Fulcio, docs/oid-info.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1

from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.evidence import Origin
from flywheel_assets.ports import Identity

_FULCIO = "1.3.6.1.4.1.57264.1"
ISSUER, OTHER_NAME, ISSUER_V2, REPOSITORY, REVISION, REF, INVOCATION = (
    x509.ObjectIdentifier(f"{_FULCIO}.{number}") for number in (1, 7, 8, 12, 13, 14, 21)
)
REMEDY = "Sign with a certificate as Fulcio issues them."


@dataclass(frozen=True, slots=True)
class Claims:
    """The issuer and subject in a certificate, and the source and run where it names one."""

    issuer: str
    subject: str
    origin: Origin | None

    def are_of(self, identity: Identity) -> bool:
        """Whether issuer and subject are, whole, those of ``identity``."""
        return (self.issuer, self.subject) == (identity.issuer, identity.subject)

    def are_for(self, identity: Identity) -> bool:
        """Whether the source is one that ``identity`` may speak for."""
        repository = self.origin.repository if self.origin else None
        is_own = repository is None or self.subject.startswith(f"{repository}/")
        return is_own or repository in identity.repositories


def claims_of(certificate: bytes, document: str, field: str = "certificate") -> Claims:
    """The claims of a DER certificate. Raises InvalidInputError when it is none, or says two things or nothing."""
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        issuers = set(_texts(extensions, ISSUER, ISSUER_V2))
        subjects = _subjects(extensions)
        origin = Origin(*(next(_texts(extensions, oid), "") for oid in (REPOSITORY, REVISION, REF, INVOCATION)))
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise InvalidInputError(document, field, f"cannot be read: {error}", REMEDY) from error
    if len(issuers) != 1 or len(subjects) != 1:
        raise InvalidInputError(document, field, "does not name one issuer and one identity", REMEDY)
    return Claims(issuers.pop(), subjects[0], origin if origin.repository else None)


def _subjects(extensions: x509.Extensions) -> list[str]:
    """All subject alternative names, as text; one of another kind counts as a name that nobody has."""
    found = []
    for name in extensions.get_extension_for_class(x509.SubjectAlternativeName).value:
        if isinstance(name, (x509.UniformResourceIdentifier, x509.RFC822Name)):
            found.append(name.value)
        elif isinstance(name, x509.OtherName) and name.type_id == OTHER_NAME:
            found.append(asn1.decode_der(str, name.value))
        else:
            found.append("")
    return found


def _texts(extensions: x509.Extensions, *oids: x509.ObjectIdentifier) -> Iterator[str]:
    for extension in extensions:
        value = extension.value
        if extension.oid in oids and isinstance(value, x509.UnrecognizedExtension):
            # The first extensions hold bare text, those from ISSUER_V2 on a DER UTF8String.
            is_bare = extension.oid == ISSUER
            yield value.value.decode("utf-8") if is_bare else asn1.decode_der(str, value.value)
