"""ports.Verifier: whatever is signed, by named keys and keyless identities."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flywheel_assets.adapters.signatures.annotations import read_keyless, read_simple_signing
from flywheel_assets.adapters.signatures.bundles import Bundle, is_bundle, read_bundle
from flywheel_assets.adapters.signatures.certificates import Claims, claims_of
from flywheel_assets.adapters.signatures.envelopes import Signed, read_envelope
from flywheel_assets.adapters.signatures.public_keys import check_by_keys
from flywheel_assets.domain.errors import InvalidInputError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Attached, Form
from flywheel_assets.domain.untrusted import parse_json
from flywheel_assets.ports import Checked, Identity, Trusted

if TYPE_CHECKING:
    from flywheel_assets.adapters.signatures.keyless import Keyless


class SignatureVerifier:
    """Opens envelopes, bundles and image signatures, and says which named signers signed them."""

    def __init__(self, trust_root: str | None = None, limits: Limits = DEFAULT_LIMITS) -> None:
        """``trust_root`` (a Sigstore trusted root, JSON) is what keyless signatures are verified against."""
        self._trust_root = trust_root
        self._limits = limits
        self._keyless: Keyless | None = None

    def check(self, signed: bytes, document: str, trusted: Mapping[str, Trusted]) -> Checked:
        """Verify an envelope, or a bundle that wraps one. Raises InvalidInputError when it is neither."""
        found = self._open(signed, document)
        content = found.content if isinstance(found, Bundle) else found
        if not content.is_envelope:
            remedy = "Sign the statement itself, in an envelope."
            raise InvalidInputError(document, "messageSignature", "holds a signature, and no statement", remedy)
        return self._check(found, document, trusted)

    def check_attached(self, attached: Attached, document: str, trusted: Mapping[str, Trusted]) -> Checked:
        """As ``check``, and image signatures. Raises InvalidInputError.

        The payload of a simple signing is what it signs, of type SIMPLE_SIGNING; that of a bundle without an
        envelope is the SHA-256 of what was signed, of type MESSAGE_DIGEST.
        """
        found: Signed | Bundle
        if attached.form is Form.SIMPLE_SIGNING:
            found = read_simple_signing(attached.data, attached.annotations, document)
        else:
            found = self._open(attached.data, document)
        if isinstance(found, Signed):
            found = read_keyless(found, attached.annotations, document, self._limits) or found
        return self._check(found, document, trusted)

    def under(self, trust_root: str | None) -> "SignatureVerifier":
        """The same with another trust root."""
        return self if trust_root == self._trust_root else SignatureVerifier(trust_root, self._limits)

    def _open(self, data: bytes, document: str) -> Signed | Bundle:
        parsed = parse_json(data, document, max_bytes=self._limits.signed_bytes, limits=self._limits)
        if is_bundle(parsed):
            return read_bundle(data, parsed, document, self._limits)
        return read_envelope(parsed, document, self._limits)

    def _check(self, found: Signed | Bundle, document: str, trusted: Mapping[str, Trusted]) -> Checked:
        if isinstance(found, Bundle) and found.certificate is not None:
            return self._check_keyless(found, claims_of(found.certificate, document), document, trusted)
        content = found.content if isinstance(found, Bundle) else found
        return check_by_keys(content, {name: pem for name, pem in trusted.items() if isinstance(pem, str)})

    def _check_keyless(self, bundle: Bundle, claims: Claims, document: str, trusted: Mapping[str, Trusted]) -> Checked:
        content = bundle.content
        claimed = {
            name: signer for name, signer in trusted.items() if isinstance(signer, Identity) and claims.are_of(signer)
        }
        if not claimed:
            stranger = printable(f"{claims.subject} ({claims.issuer})", 400)
            return Checked(content.payload, content.payload_type, (), (stranger,), ())
        names = tuple(name for name, signer in claimed.items() if claims.are_for(signer))
        problem = self._problem(bundle, claims) if names else _for_another(claims)
        if problem:
            sentence = f"{document} is not signed by {', '.join(claimed)}: {problem}"
            return Checked(content.payload, content.payload_type, (), (), tuple(claimed), problems=(sentence,))
        return Checked(content.payload, content.payload_type, names, (), (), origin=claims.origin)

    def _problem(self, bundle: Bundle, claims: Claims) -> str:
        if self._trust_root is None:
            return "no trust root is given to verify it against"
        if self._keyless is None:
            from flywheel_assets.adapters.signatures.keyless import Keyless

            self._keyless = Keyless(self._trust_root)
        return self._keyless.problem(bundle, claims)


def _for_another(claims: Claims) -> str:
    repository = printable(claims.origin.repository if claims.origin else "", 200)
    return f"it was signed for the source repository {repository}, which is not among its repositories"
