"""What a forge attests about a run's artifacts, by their digests: the signature of a receipt that the job left bare.

Beside it, the forge's own build provenance: by an identity of the catalogue, about the very artifact and of the very
run, it goes into the run's record, and the gate holds the receipt against it.
"""

from collections.abc import Iterator
from dataclasses import replace

from flywheel_assets.catalog.models import Catalogue, Purpose
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import InvalidInputError, printable
from flywheel_assets.domain.image_signatures import read_attestation
from flywheel_assets.domain.platform_runs import PlatformRun, WorkflowProvenance, attempt_url
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.domain.untrusted import parse_json
from flywheel_assets.ports import Checked, Delivery, RunSource
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import is_envelope


class Attestations:
    """The attestations about one run's receipts. ``provenance`` is what was found of it, once each.

    Nothing is asked where the catalogue knows no keyless identity for the repository: none could count.
    """

    def __init__(self, flywheel: Flywheel, source: RunSource, run: PlatformRun) -> None:
        self.provenance: dict[WorkflowProvenance, None] = {}
        self._flywheel, self._source, self._run = flywheel, source, run
        self._left, self._room = flywheel.limits.attested_receipts, flywheel.limits.archive_unpacked_bytes
        self._is_asked = _may_count(flywheel.catalogue, run.repository)

    def of(self, delivery: Delivery, data: bytes, receipt: Receipt) -> Iterator[Delivery]:
        """The receipt as it is taken in: a bare one as each bundle that signs it, or as it is where there is none.

        Raises ReadError: the forge was not heard, and nothing of it may be taken for an absence.
        """
        is_bare, is_signed = not is_envelope(data, delivery.name, self._flywheel.limits), False
        for found in self._about(delivery, receipt) if self._is_asked else ():
            if found.data is None:
                yield found
                continue
            try:
                checked = self._flywheel.verifier.check(found.data, found.name, self._flywheel.trusted_keys)
                if is_bare and self._is_same(checked, data, found.name):
                    yield found
                    is_signed = True
                elif self._is_provenance(checked, found.name, receipt):
                    self._keep(found.data, checked, receipt)
            except InvalidInputError as error:
                yield replace(found, data=None, problem=printable(f"cannot be taken: {error.problem}", 400))
        if not is_signed:
            yield delivery

    def _about(self, delivery: Delivery, receipt: Receipt) -> Iterator[Delivery]:
        """What the forge keeps about the artifact. What signs its receipt, or speaks of it whole, names this digest."""
        self._left -= 1
        if self._left >= 0:
            for found in self._source.attestations(self._run.repository, receipt.artifact.digest):
                self._room -= len(found.data or b"")
                if self._room < 0:
                    break
                yield found
        if self._left < 0 or self._room < 0:
            problem = f"{delivery.name} is of a run with more receipts or attestations than are asked for."
            yield Delivery(f"{delivery.name}, attestations", None, problem)

    def _is_same(self, checked: Checked, bare: bytes, name: str) -> bool:
        """Whether what was signed is the bare statement, however either is spelled."""
        limits = self._flywheel.limits
        is_statement = checked.payload_type == PAYLOAD_TYPE
        return is_statement and parse_json(checked.payload, name, limits=limits) == parse_json(
            bare, name, limits=limits
        )

    def _is_provenance(self, checked: Checked, name: str, receipt: Receipt) -> bool:
        """Whether it is the workflow's own, about the artifact, by an identity of the catalogue, and of this run.

        Other runs may make the same artifact, and attest it: that is no word about this one.
        """
        run, origin = self._run, checked.origin
        if origin is None or origin.invocation != attempt_url(run.repository, run.run, run.attempt):
            return False
        statement = read_attestation(checked.payload, name, self._flywheel.limits)
        return statement.is_workflow_provenance and statement.is_about(receipt.artifact.digest)

    def _keep(self, bundle: bytes, checked: Checked, receipt: Receipt) -> None:
        evidence = self._flywheel.evidence.put(bundle)
        for key in (self._flywheel.catalogue.keys[name] for name in checked.keys):
            said = WorkflowProvenance(
                evidence=evidence,
                issuer=str(key.issuer),
                identity=str(key.identity),
                digest=Sha256(str(receipt.artifact.digest)),
                revision=printable(checked.origin.revision) if checked.origin else "",
                ref=printable(checked.origin.ref, 400) if checked.origin else "",
            )
            self.provenance[said] = None


def _may_count(catalogue: Catalogue, repository: str) -> bool:
    keyless = (key for key in catalogue.keys.values() if key.identity is not None and Purpose.RECEIPTS in key.for_)
    return any(repository in key.repositories for key in keyless)
