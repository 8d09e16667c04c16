"""Phase 3, part two: were whole bodies read, and are they what the signed receipt says?

An entry counts as present only when its whole body was read and hashed: a valid narinfo in front of an empty
body is how this goes wrong in practice. What contradicts the receipt is never forgotten: a later, better
reading does not undo it.
"""

from collections.abc import Iterable, Mapping

from flywheel_assets.domain.artifacts import BazelOutputs, NixClosure, OciImage
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.verdicts import Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt

_body = Answer("whole_body_matches_digest", Phase.INTEGRITY)
_closure = Answer("closure_is_complete", Phase.INTEGRITY)

CANNOT = VerdictClass.CANNOT_DETERMINE
TEMPORARILY = VerdictClass.REJECTED_TEMPORARILY
PERMANENTLY = VerdictClass.REJECTED_PERMANENTLY
AGAIN = "`flywheel run` and `flywheel promote` read it again, and so does the daily reconciliation."
REFILL = f"Push it to the cache again: {AGAIN}"
INVESTIGATE = "Find out who pushed to the cache, then build again under a new run."

_NOT_READ = {
    ReadState.EMPTY: (TEMPORARILY, "body-empty", "reads back as zero bytes", REFILL),
    ReadState.TRUNCATED: (TEMPORARILY, "body-truncated", "ends before its declared size", REFILL),
    ReadState.UNDECODABLE: (TEMPORARILY, "body-undecodable", "cannot be decompressed", REFILL),
    ReadState.MALFORMED: (TEMPORARILY, "index-malformed", "has an index entry that cannot be used", REFILL),
    ReadState.TOO_LARGE: (PERMANENTLY, "body-too-large", "is larger than declared or allowed", INVESTIGATE),
    ReadState.UNREADABLE: (
        CANNOT,
        "cache-unreadable",
        "could not be read",
        f"Mend the cache: {AGAIN}",
    ),
    ReadState.UNAUTHORISED: (
        CANNOT,
        "cache-unauthorised",
        "was refused by the cache",
        f"Give the reader a credential: {AGAIN}",
    ),
    ReadState.RATE_LIMITED: (
        CANNOT,
        "cache-rate-limited",
        "was not served, for the cache asks its readers to wait",
        f"Wait: {AGAIN}",
    ),
}


@needs_receipt(_body)
def whole_body_matches_digest(case: Case) -> Finding:
    """The bytes read equal receipt, index, hash and size. Absent members are closure_is_complete's matter."""
    said = _expected(case)
    contradiction = next((f for r in _ever(case) if (f := _contradiction(case, r, said))), None)
    if contradiction:
        return contradiction
    if not case.bundle.inspections:
        return _body(
            CANNOT,
            "body-not-read",
            f"nothing was read from {case.output.cache} yet",
            remedy="Materialize the cache entry.",
            actor="no action needed: the sensor requests it",
        )
    readings = case.bundle.inspections[-1].inspection.readings
    for reading in readings:
        if reading.state in _NOT_READ:
            verdict, reason, sentence, remedy = _NOT_READ[reading.state]
            message = f"{reading.member} {sentence}" + (f" ({reading.detail})" if reading.detail else "")
            return _body(verdict, reason, message, remedy=remedy, actor=case.cache_owner)
    read = [reading for reading in readings if reading.state is ReadState.READ]
    if not read:
        return _body(TEMPORARILY, "body-not-read", "no body could be read", remedy=REFILL, actor=case.cache_owner)
    total = sum(reading.size for reading in read)
    return _body.passed(f"{len(read)} bodies, {total:,} bytes, read whole and equal to the signed receipt")


def _ever(case: Case) -> Iterable[Reading]:
    return (reading for recorded in case.bundle.inspections for reading in recorded.inspection.readings)


def _contradiction(case: Case, reading: Reading, said: Mapping[str, tuple[str, int | None]]) -> Finding | None:
    """Content or index that says something else than the signed receipt."""
    member = reading.member
    expected = said.get(member, (reading.expected_digest, reading.expected_size))
    if reading.state is ReadState.READ and (
        reading.digest != expected[0] or (expected[1] is not None and reading.size != expected[1])
    ):
        if not expected[0]:
            return None  # an unknown member: closure_is_complete says so
        return _body(
            PERMANENTLY,
            "body-differs",
            f"{member} reads back as {reading.digest} ({reading.size:,} bytes), the receipt says {expected[0]}",
            remedy=INVESTIGATE,
            actor=case.cache_owner,
        )
    if reading.state is ReadState.TOO_LARGE and expected[0] and expected[1] is not None and reading.size > expected[1]:
        return _body(
            PERMANENTLY,
            "body-differs",
            f"{member} reads back as more than the {expected[1]:,} bytes that the receipt says",
            remedy=INVESTIGATE,
            actor=case.cache_owner,
        )
    if reading.index_problems:
        return _body(
            PERMANENTLY,
            "index-differs",
            f"the index entry of {member} contradicts the receipt: {reading.index_problems[0]}",
            remedy=INVESTIGATE,
            actor=case.cache_owner,
        )
    return None


def _expected(case: Case) -> dict[str, tuple[str, int | None]]:
    """What the receipt itself says of members, so that an inspection cannot bring its own expectations."""
    artifact = case.receipt.artifact
    if isinstance(artifact, NixClosure):
        return {member.path: (str(member.nar_hash), member.nar_size) for member in artifact.members}
    if isinstance(artifact, BazelOutputs):
        return {f"cas {file.path}": (str(file.digest), file.size) for file in artifact.files}
    return {}


@needs_receipt(_closure)
def closure_is_complete(case: Case) -> Finding:
    """Every path, layer, platform or blob was read and is in the signed manifest."""
    for reading in _ever(case):
        if reading.added_references:
            return _closure(
                PERMANENTLY,
                "reference-not-in-receipt",
                f"the cache's index gives {reading.member} the reference {reading.added_references[0]}, "
                "which the signed receipt does not know",
                remedy=INVESTIGATE,
                actor=case.cache_owner,
            )
    if not case.bundle.inspections:
        return _closure(
            CANNOT,
            "body-not-read",
            f"nothing was read from {case.output.cache} yet",
            remedy="Materialize the cache entry.",
            actor="no action needed: the sensor requests it",
        )
    readings = case.bundle.inspections[-1].inspection.readings
    found = _missing(case, readings) or _unvouched(case, readings)
    if found:
        return found
    unread = sum(reading.state is not ReadState.READ for reading in readings)
    if unread:  # whether those are there, whole_body_matches_digest says
        return _closure.passed(f"none of {len(readings)} members is known to be missing; {unread} could not be read")
    return _closure.passed(f"all {len(readings)} members are there and in the signed manifest")


def _missing(case: Case, readings: tuple[Reading, ...]) -> Finding | None:
    seen = {reading.member: reading for reading in readings}
    absent = [reading.member for reading in readings if reading.state is ReadState.ABSENT]
    absent += [member for member in _expected(case) if member not in seen]
    artifact = case.receipt.artifact
    if isinstance(artifact, NixClosure):
        referenced = {path for member in artifact.members for path in member.references}
        absent += sorted(referenced - artifact.by_path.keys() - seen.keys())
    if isinstance(artifact, OciImage):
        expected = {str(artifact.manifest), *(str(digest) for digest in artifact.platforms.values())}
        read = {reading.digest for reading in readings if reading.state is ReadState.READ}
        # Nobody knows what is below a manifest that could not be read.
        is_known = all(reading.state in {ReadState.READ, ReadState.ABSENT} for reading in readings)
        if not absent and is_known and (missing := sorted(expected - read)):
            absent = [f"manifest {missing[0]}"]
    if not absent:
        return None
    more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
    return _closure(
        TEMPORARILY,
        "member-missing",
        f"{absent[0]}{more} is not in {case.output.cache}",
        remedy=REFILL,
        actor=case.cache_owner,
    )


def _unvouched(case: Case, readings: tuple[Reading, ...]) -> Finding | None:
    expected = _expected(case)
    for reading in readings:
        vouched = reading.vouched_by or isinstance(case.receipt.artifact, OciImage)
        known = reading.member in expected or (vouched and reading.expected_digest)
        if reading.state is ReadState.READ and not known and not reading.member.startswith("action "):
            return _closure(
                PERMANENTLY,
                "member-not-vouched-for",
                f"{reading.member} is in the closure; neither the receipt lists it nor a trusted upstream signed it",
                remedy="List it in the receipt, or trust the upstream key of the cache that made it.",
                actor=case.builder_owner,
            )
    return None
