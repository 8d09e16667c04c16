"""Strategies for what the domain holds, and good receipts of three kinds as JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs, ClosureMember, NixClosure, OciImage
from flywheel_assets.domain.builds import (
    Bootstrap,
    BuilderRun,
    BuildKey,
    Dependency,
    LockedInput,
    Source,
    Trigger,
    TriggerEvent,
    Validation,
    ValidationResult,
)
from flywheel_assets.domain.digests import (
    ActionDigest,
    CasDigest,
    GitRevision,
    ManifestDigest,
    NarHash,
    Sha256,
    to_nix32,
)
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets_tests.gate.cases import good

VECTORS = Path(__file__).parents[1] / "vectors" / "receipts"

SHA = st.binary(min_size=32, max_size=32).map(bytes.hex)
REVISIONS = st.binary(min_size=20, max_size=20).map(lambda raw: GitRevision(raw.hex()))
LINES = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=30)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
REPOSITORIES = st.from_regex(r"https://[a-z0-9.-]{1,20}(/[A-Za-z0-9._~-]{1,10}){1,2}", fullmatch=True)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis asks for naive bounds
STORE_PATHS = st.builds(
    lambda raw, name: f"/nix/store/{to_nix32(raw)}-{name}",
    st.binary(min_size=20, max_size=20),
    st.from_regex(r"[0-9a-zA-Z+\-._?=]{1,20}", fullmatch=True),
)
FILE_PATHS = st.lists(
    st.text(
        st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"), exclude_characters="/\\"),
        min_size=1,
        max_size=8,
    ).filter(lambda part: part not in {".", ".."}),
    min_size=1,
    max_size=3,
).map("/".join)
SIZES = st.integers(1, 2**53 - 1)
MEMBERS = st.builds(
    ClosureMember,
    path=STORE_PATHS,
    nar_hash=SHA.map(NarHash.from_hex),
    nar_size=SIZES,
    references=st.lists(STORE_PATHS, max_size=3).map(tuple),
)
CLOSURES = st.builds(
    lambda members, deriver: NixClosure(root=members[0].path, deriver=deriver, members=tuple(members)),
    st.lists(MEMBERS, min_size=1, max_size=4, unique_by=lambda member: member.path),
    st.none() | LINES,
)
IMAGES = st.builds(
    OciImage,
    repository=st.from_regex(r"[a-z0-9]{1,9}(/[a-z0-9]{1,9}([._-][a-z0-9]{1,5})?)?", fullmatch=True),
    manifest=SHA.map(ManifestDigest.from_hex),
    platforms=st.dictionaries(
        st.from_regex(r"[a-z0-9]{1,8}/[a-z0-9_]{1,8}(/[a-z0-9]{1,4})?", fullmatch=True),
        SHA.map(ManifestDigest.from_hex),
        min_size=1,
        max_size=4,
    ),
)
FILES = st.builds(BazelFile, path=FILE_PATHS, digest=SHA.map(CasDigest.from_hex), size=SIZES | st.just(0))
OUTPUTS = st.builds(
    BazelOutputs,
    label=LINES,
    action=SHA.map(ActionDigest.from_hex),
    files=st.lists(FILES, min_size=1, max_size=4, unique_by=lambda file: file.path).map(tuple),
)
RUNS = st.builds(
    BuilderRun,
    key=st.builds(
        BuildKey,
        run=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True),
        attempt=st.integers(1, 9999),
        system=st.from_regex(r"[a-z0-9_]{1,8}(-[a-z0-9_]{1,8})?", fullmatch=True),
    ),
    builder=NAMES,
    job=st.none() | LINES,
    runner=st.none() | LINES,
    invocation=st.from_regex(r"https://[!-~]{1,40}", fullmatch=True),
    source=st.builds(
        Source,
        repository=REPOSITORIES,
        revision=REVISIONS,
        ref=LINES,
        dirty=st.booleans(),
        committed_at=st.none() | TIMES,
    ),
    definition=st.none() | LINES,
    locked_inputs=st.lists(
        st.builds(LockedInput, name=LINES, digest=SHA.map(Sha256.from_hex)), max_size=3, unique_by=lambda i: i.name
    ).map(tuple),
    trigger=st.builds(Trigger, event=st.sampled_from(TriggerEvent), actor=LINES, from_fork=st.booleans()),
    started_at=TIMES,
    finished_at=TIMES,
    bootstrap=st.none()
    | st.builds(Bootstrap, tool=LINES, installed_by=LINES, verified_version=LINES, finished_at=TIMES),
    validations=st.lists(
        st.builds(Validation, name=LINES, result=st.sampled_from(ValidationResult)),
        max_size=3,
        unique_by=lambda v: v.name,
    ).map(tuple),
    dependencies=st.lists(
        st.builds(Dependency, output=NAMES, store_path=STORE_PATHS, digest=SHA.map(Sha256.from_hex)),
        max_size=3,
        unique_by=lambda d: d.output,
    ).map(tuple),
)
RECEIPTS = st.builds(Receipt, output=NAMES, run=RUNS, artifact=CLOSURES | IMAGES | OUTPUTS)


def statement(kind: str) -> dict[str, Any]:
    """The statement of the gate tests' good receipt, parsed."""
    parsed: dict[str, Any] = json.loads(receipt_statement(good(kind).receipt))
    return parsed
