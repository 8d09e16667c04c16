"""What became of a withdrawn artifact on its surface, and the statement of who answers for what stays published."""

from pydantic import AwareDatetime

from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.names import Line, OutputName
from flywheel_assets.domain.publications import Ownership


class Unpublished(Closed):
    """``removed`` are the names that consumers do not find any more; ``remaining`` says what they still find, and why.

    Names that were gone already are in neither.
    """

    removed: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()


class Withdrawal(Closed):
    """The record that a decision to withdraw was carried out on a surface, or that it cannot be from here.

    ``mark`` is the signed verification summary that says FAILED beside the artifact; None where nothing can be put
    there. ``yanked_by`` is who must take it away by hand, empty when it is gone.
    """

    output: OutputName
    build: BuildKey
    artifact_digest: Sha256
    surface: Line
    reference: str
    decision: EvidenceDigest
    mark: EvidenceDigest | None
    unpublished: Unpublished
    yanked_by: str = ""
    done_at: AwareDatetime


class Restatement(Closed):
    """A new statement of who answers for a published artifact, by the catalogue of that digest."""

    output: OutputName
    build: BuildKey
    reference: str
    ownership: Ownership
    catalogue: EvidenceDigest
    stated_at: AwareDatetime
