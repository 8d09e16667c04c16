"""A receipt: SLSA provenance v1 that a builder signs after a build. The only thing a builder emits.

``receipt_statement`` writes one, ``read_receipt`` reads one back; both live here so that they cannot drift.
Field by field the format is described in docs/receipts.md. It knows nothing of publication surfaces.
"""

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, ValidationError

from flywheel_assets.domain.artifacts import (
    Artifact,
    BazelFile,
    BazelOutputs,
    ClosureMember,
    NixClosure,
    OciImage,
)
from flywheel_assets.domain.builds import (
    Bootstrap,
    BuilderRun,
    BuildKey,
    Closed,
    Dependency,
    LockedInput,
    Source,
    Trigger,
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
)
from flywheel_assets.domain.errors import InvalidInputError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.names import BuilderLabel, Line, OutputName, RepositoryUri
from flywheel_assets.domain.statements import (
    PROVENANCE_V1,
    TEST_RESULT_V01,
    ResourceDescriptor,
    Statement,
    Subject,
    Wire,
    invalid,
    parse_statement,
    statement_bytes,
)

BUILD_TYPES = {
    "nix": "urn:flywheel-assets:build-type:nix:v1",
    "oci": "urn:flywheel-assets:build-type:oci:v1",
    "bazel": "urn:flywheel-assets:build-type:bazel:v1",
}
BUILDER_URN = "urn:flywheel-assets:builder:"
REMEDY = "Emit the receipt with `flywheel receipt` (docs/receipts.md)."


class Receipt(Closed):
    """What one run says it made."""

    output: OutputName
    run: BuilderRun
    artifact: Artifact


class TestOutcome(Closed):
    """An in-toto test-result about an artifact: ``configuration`` names the validation."""

    __test__ = False  # not a test class, whatever its name looks like

    subjects: tuple[Sha256, ...]
    validation: Validation


class _Parameters(Wire):
    output: OutputName
    repository: RepositoryUri
    ref: Line
    definition: Line | None


class _Run(Wire):
    id: Line
    attempt: int
    system: Line
    job: Line | None = None
    runner: Line | None = None


class _Internal(Wire):
    run: _Run
    trigger: Trigger
    artifact: dict[str, Any]


class _Definition(Wire):
    build_type: str = Field(alias="buildType")
    external: _Parameters = Field(alias="externalParameters")
    internal: _Internal = Field(alias="internalParameters")
    dependencies: tuple[ResourceDescriptor, ...] = Field(alias="resolvedDependencies")


class _Builder(Wire):
    id: Annotated[str, Field(pattern=rf"^{BUILDER_URN}")]


class _Metadata(Wire):
    invocation: str = Field(alias="invocationId")
    started: AwareDatetime = Field(alias="startedOn")
    finished: AwareDatetime = Field(alias="finishedOn")


class _Details(Wire):
    builder: _Builder
    metadata: _Metadata
    byproducts: tuple[ResourceDescriptor, ...] = ()


class _Provenance(Wire):
    definition: _Definition = Field(alias="buildDefinition")
    details: _Details = Field(alias="runDetails")


def receipt_statement(receipt: Receipt) -> bytes:
    """The canonical in-toto Statement of ``receipt``, ready to be signed."""
    run, artifact = receipt.run, receipt.artifact
    source = run.source
    dependencies: list[dict[str, Any]] = [
        {
            "name": "source",
            "uri": f"git+{source.repository}@{source.ref}",
            "digest": {"gitCommit": str(source.revision)},
            "annotations": {
                "dirty": source.dirty,
                "committedAt": source.committed_at.isoformat() if source.committed_at else None,
            },
        },
        *({"name": f"lock:{item.name}", "digest": {"sha256": item.digest.hex}} for item in run.locked_inputs),
        *(
            {
                "name": f"output:{item.output}",
                "uri": f"nix:{item.store_path}",
                "digest": {"sha256": item.digest.hex},
            }
            for item in run.dependencies
        ),
    ]
    byproducts: list[dict[str, Any]] = [
        {"name": f"validation:{item.name}", "annotations": {"result": item.result.value}} for item in run.validations
    ]
    if run.bootstrap:
        byproducts.append({"name": "bootstrap", "annotations": run.bootstrap.model_dump(mode="json")})
    described, members = _describe(artifact)
    return statement_bytes(
        _subjects(artifact),
        PROVENANCE_V1,
        {
            "buildDefinition": {
                "buildType": BUILD_TYPES[artifact.kind],
                "externalParameters": {
                    "output": receipt.output,
                    "repository": source.repository,
                    "ref": source.ref,
                    "definition": run.definition,
                },
                "internalParameters": {
                    "run": {"id": run.key.run, "attempt": run.key.attempt, "system": run.key.system, **_job(run)},
                    "trigger": run.trigger.model_dump(mode="json"),
                    "artifact": described,
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": BUILDER_URN + run.builder},
                "metadata": {
                    "invocationId": run.invocation,
                    "startedOn": run.started_at.isoformat(),
                    "finishedOn": run.finished_at.isoformat(),
                },
                "byproducts": byproducts + members,
            },
        },
    )


def read_statement(payload: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> Receipt | TestOutcome:
    """The receipt or test result in a Statement. Raises InvalidInputError naming the field that is wrong."""
    return receipt_or_test(parse_statement(payload, document, REMEDY, limits), document, limits)


def receipt_or_test(statement: Statement, document: str, limits: Limits = DEFAULT_LIMITS) -> Receipt | TestOutcome:
    """As ``read_statement``, of one that is parsed already."""
    try:
        if statement.predicate_type == TEST_RESULT_V01:
            return _test_outcome(statement)
        if statement.predicate_type != PROVENANCE_V1:
            problem = f"{statement.predicate_type!r} is neither SLSA provenance v1 nor in-toto test-result v0.1"
            raise InvalidInputError(document, "predicateType", problem, REMEDY)
        return _receipt(statement, document, limits)
    except ValidationError as error:
        raise invalid(error, document, REMEDY) from error
    except ValueError as error:  # a digest or revision that is none
        raise InvalidInputError(document, "digest", str(error), REMEDY) from error


class _TestResult(Wire):
    result: ValidationResult
    configuration: Annotated[tuple[ResourceDescriptor, ...], Field(min_length=1, max_length=1)]
    url: str | None = None
    passed_tests: tuple[Line, ...] = Field(alias="passedTests", default=())
    warned_tests: tuple[Line, ...] = Field(alias="warnedTests", default=())
    failed_tests: tuple[Line, ...] = Field(alias="failedTests", default=())


def _test_outcome(statement: Statement) -> TestOutcome:
    predicate = _TestResult.model_validate(statement.predicate)
    name = predicate.configuration[0].name or ""
    result = ValidationResult.FAILED if predicate.failed_tests else predicate.result
    subjects = tuple(Sha256.from_hex(subject.digest.get("sha256", "")) for subject in statement.subject)
    return TestOutcome(subjects=subjects, validation=Validation(name=name, result=result))


def _refuse_other_provenance(statement: Statement, document: str, known: Collection[str]) -> None:
    """Before any field of a receipt is missed in what is none: a forge's own provenance, say."""
    definition = statement.predicate.get("buildDefinition")
    build_type = definition.get("buildType") if isinstance(definition, dict) else None
    if isinstance(build_type, str) and build_type not in known:
        remedy = f"{REMEDY} What others attest of a run is read from its forge alone."
        raise InvalidInputError(document, "buildType", f"{printable(build_type)!r} is not known", remedy)


def _receipt(statement: Statement, document: str, limits: Limits) -> Receipt:
    kinds = {build_type: kind for kind, build_type in BUILD_TYPES.items()}
    _refuse_other_provenance(statement, document, kinds)
    predicate = _Provenance.model_validate(statement.predicate)
    definition, details = predicate.definition, predicate.details
    kind = kinds[definition.build_type]
    byproducts = details.byproducts
    _refuse_twice(definition.dependencies, document, "resolvedDependencies")
    _refuse_twice(byproducts, document, "byproducts")
    named = {item.name or "": item for item in definition.dependencies}
    if "source" not in named:
        raise InvalidInputError(document, "resolvedDependencies", "holds no 'source'", REMEDY)
    source, external, internal = named["source"], definition.external, definition.internal
    if len(byproducts) > limits.closure_members + limits.validations:
        raise InvalidInputError(document, "byproducts", f"{len(byproducts):,} entries are too many", REMEDY)
    bootstraps = [item.annotations for item in byproducts if item.name == "bootstrap"]
    run = BuilderRun(
        key=BuildKey(run=internal.run.id, attempt=internal.run.attempt, system=internal.run.system),
        builder=_label(details.builder.id),
        job=internal.run.job,
        runner=internal.run.runner,
        invocation=details.metadata.invocation,
        source=Source(
            repository=external.repository,
            revision=GitRevision(source.digest.get("gitCommit", "")),
            ref=external.ref,
            dirty=source.annotations.get("dirty", True),
            committed_at=source.annotations.get("committedAt"),
        ),
        definition=external.definition,
        locked_inputs=tuple(
            LockedInput(name=name.removeprefix("lock:"), digest=_sha256(item))
            for name, item in named.items()
            if name.startswith("lock:")
        ),
        trigger=internal.trigger,
        started_at=details.metadata.started,
        finished_at=details.metadata.finished,
        bootstrap=Bootstrap.model_validate(bootstraps[0]) if bootstraps else None,
        validations=tuple(
            Validation(name=item.name.removeprefix("validation:"), result=item.annotations.get("result", ""))
            for item in byproducts
            if item.name and item.name.startswith("validation:")
        ),
        dependencies=tuple(
            Dependency(
                output=name.removeprefix("output:"),
                store_path=(item.uri or "").removeprefix("nix:"),
                digest=_sha256(item),
            )
            for name, item in named.items()
            if name.startswith("output:")
        ),
    )
    artifact = _artifact(kind, internal.artifact, byproducts, statement.subject)
    receipt = Receipt(output=external.output, run=run, artifact=artifact)
    if [(s.name, s.digest) for s in statement.subject] != _subjects(artifact):
        raise InvalidInputError(document, "subject", "does not name the artifact that the predicate describes", REMEDY)
    return receipt


def _refuse_twice(items: tuple[ResourceDescriptor, ...], document: str, field: str) -> None:
    """A name that appears twice would let one entry hide the other."""
    seen: set[str] = set()
    for name in (item.name for item in items if item.name is not None):
        if name in seen:
            raise InvalidInputError(document, field, f"names {name!r} twice", REMEDY)
        seen.add(name)


def _job(run: BuilderRun) -> dict[str, str]:
    """What names the job; left out where nothing does, as in receipts that know of neither."""
    return {name: value for name, value in (("job", run.job), ("runner", run.runner)) if value is not None}


def _label(builder_id: str) -> BuilderLabel:
    return builder_id.removeprefix(BUILDER_URN)


def _sha256(item: ResourceDescriptor) -> Sha256:
    return Sha256.from_hex(item.digest.get("sha256", ""))


def _subjects(artifact: Artifact) -> list[tuple[str, dict[str, str]]]:
    if isinstance(artifact, BazelOutputs):
        return [(file.path, {"sha256": file.digest.hex}) for file in artifact.files]
    return [(artifact.name, {"sha256": artifact.digest.hex})]


def _describe(artifact: Artifact) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The artifact's own fields, and its members as byproducts."""
    if isinstance(artifact, NixClosure):
        return {"deriver": artifact.deriver}, [
            {
                "name": member.path,
                "digest": {"sha256": member.nar_hash.hex},
                "annotations": {"narSize": member.nar_size, "references": list(member.references)},
            }
            for member in artifact.members
        ]
    if isinstance(artifact, OciImage):
        return {}, [
            {"name": f"platform:{platform}", "digest": {"sha256": digest.hex}}
            for platform, digest in artifact.platforms.items()
        ]
    return {
        "label": artifact.label,
        "action": artifact.action.hex,
        "sizes": {file.path: file.size for file in artifact.files},
    }, []


class _NixFields(Wire):
    deriver: Line | None


class _OciFields(Wire):
    pass


class _BazelFields(Wire):
    label: Line
    action: Line
    sizes: dict[str, int]


class _NixMember(Wire):
    nar_size: int = Field(alias="narSize")
    references: tuple[str, ...]


def _artifact(
    kind: str,
    fields: dict[str, Any],
    byproducts: tuple[ResourceDescriptor, ...],
    subjects: tuple[Subject, ...],
) -> NixClosure | OciImage | BazelOutputs:
    first = subjects[0]
    if kind == "nix":
        members = [
            (item, _NixMember.model_validate(item.annotations))
            for item in byproducts
            if item.name and item.name.startswith("/nix/store/")
        ]
        return NixClosure(
            root=first.name,
            deriver=_NixFields.model_validate(fields).deriver,
            members=tuple(
                ClosureMember(
                    path=item.name or "",
                    nar_hash=NarHash.from_hex(item.digest.get("sha256", "")),
                    nar_size=member.nar_size,
                    references=member.references,
                )
                for item, member in members
            ),
        )
    if kind == "oci":
        _OciFields.model_validate(fields)
        return OciImage(
            repository=first.name,
            manifest=ManifestDigest.from_hex(first.digest.get("sha256", "")),
            platforms={
                item.name.removeprefix("platform:"): ManifestDigest.from_hex(item.digest.get("sha256", ""))
                for item in byproducts
                if item.name and item.name.startswith("platform:")
            },
        )
    bazel = _BazelFields.model_validate(fields)
    return BazelOutputs(
        label=bazel.label,
        action=ActionDigest.from_hex(bazel.action),
        files=tuple(
            BazelFile(
                path=subject.name,
                digest=CasDigest.from_hex(subject.digest.get("sha256", "")),
                size=bazel.sizes.get(subject.name, -1),
            )
            for subject in subjects
        ),
    )
