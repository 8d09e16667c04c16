"""A catalogue as evidence keeps it: one canonical JSON document, overlays merged and files beside it read in."""

from pydantic import ValidationError

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.statements import canonical


def catalogue_document(catalogue: Catalogue) -> bytes:
    """Its canonical JSON (RFC 8785); the digest of these bytes is ``catalogue.digest``."""
    return canonical(catalogue.model_dump(mode="json", by_alias=True))


def read_catalogue_document(document: bytes) -> Catalogue:
    """The catalogue in a document that its digest was checked of.

    It goes by that digest, whatever a later version of the models would add to it. Raises InvalidInputError.
    """
    digest = EvidenceDigest.of(document)
    try:
        found = Catalogue.model_validate_json(document)
    except ValidationError as error:
        remedy = "Use the version of the program that wrote it."
        raise InvalidInputError(f"catalogue {digest}", "document", "is none of this version", remedy) from error
    found._digests[""] = digest  # noqa: SLF001 - its own, before anyone sees it
    return found
