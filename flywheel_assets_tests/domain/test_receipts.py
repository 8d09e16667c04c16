"""Receipts: what is written reads back, and what is tampered with is refused by the name of its field."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.builds import ValidationResult
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.limits import DEFAULT_LIMITS
from flywheel_assets.domain.receipts import Receipt, TestOutcome, read_statement, receipt_statement
from flywheel_assets.domain.statements import TEST_RESULT_V01, canonical, statement_bytes
from flywheel_assets_tests.domain.cases import RECEIPTS, VECTORS, statement
from flywheel_assets_tests.domain.make_vectors import TAMPERED, documents
from flywheel_assets_tests.gate.cases import KINDS, artifact, changed, good

PATTERN, NOT_RELATIVE = "String should match pattern", "Value error, is not a plain relative path"
EXTERNAL = "buildDefinition.externalParameters"
ANOTHER = "does not name the artifact that the predicate describes"
NO_REVISION = "a Git revision is 40 or 64 lower-case hex digits, never a branch or an abbreviation"
REFUSED: dict[str, tuple[str, str]] = {
    "wrong-type": ("_type", "Input should be 'https://in-toto.io/Statement/v1'"),
    "wrong-predicate-type": (
        "predicateType",
        "'https://slsa.dev/provenance/v0.2' is neither SLSA provenance v1 nor in-toto test-result v0.1",
    ),
    "wrong-build-type": ("buildType", "'urn:flywheel-assets:build-type:npm:v1' is not known"),
    "unknown-field": ("publishTo", "Extra inputs are not permitted"),
    "unknown-field-in-predicate": ("runDetails.publishTo", "Extra inputs are not permitted"),
    "unknown-field-of-image": ("tag", "Extra inputs are not permitted"),
    "no-subject": ("subject", "Tuple should have at least 1 item after validation, not 0"),
    "output-traversal": (f"{EXTERNAL}.output", PATTERN),
    "output-absolute": (f"{EXTERNAL}.output", PATTERN),
    "file-path-traversal": ("path", NOT_RELATIVE),
    "file-path-inner-traversal": ("path", NOT_RELATIVE),
    "file-path-absolute": ("path", NOT_RELATIVE),
    "file-path-backslash": ("path", NOT_RELATIVE),
    "file-path-nul": ("subject.0.name", PATTERN),
    "file-without-size": ("size", "Input should be greater than or equal to 0"),
    "file-twice": ("$", "Value error, the action lists an output path twice"),
    "action-is-no-digest": ("digest", "a action digest is 'sha256:' and 64 lower-case hex digits"),
    "store-path-traversal": ("path", PATTERN),
    "store-path-slash": ("path", PATTERN),
    "store-path-short-hash": ("path", PATTERN),
    "reference-traversal": ("references.0", PATTERN),
    "nar-size-zero": ("nar_size", "Input should be greater than 0"),
    "nar-size-negative": ("nar_size", "Input should be greater than 0"),
    "nar-size-huge": ("nar_size", "Input should be less than or equal to 9007199254740991"),
    "nar-hash-missing": ("digest", "a NAR hash is 'sha256:' and 64 lower-case hex digits"),
    "closure-without-root": ("$", "Value error, the closure does not list its own root"),
    "subject-is-another-path": ("$", "Value error, the closure does not list its own root"),
    "subject-is-another-digest": ("subject", ANOTHER),
    "subject-has-another-digest-too": ("subject", ANOTHER),
    "subject-more-than-the-root": ("subject", ANOTHER),
    "subject-more-than-the-image": ("subject", ANOTHER),
    "invocation-script": ("invocation", PATTERN),
    "invocation-file": ("invocation", PATTERN),
    "invocation-http": ("invocation", PATTERN),
    "invocation-with-newline": ("invocation", PATTERN),
    "builder-elsewhere": ("runDetails.builder.id", PATTERN),
    "builder-traversal": ("builder", PATTERN),
    "run-traversal": ("run", PATTERN),
    "run-with-dot": ("run", PATTERN),
    "attempt-zero": ("attempt", "Input should be greater than or equal to 1"),
    "system-traversal": ("system", PATTERN),
    "source-missing": ("resolvedDependencies", "holds no 'source'"),
    "source-twice": ("resolvedDependencies", "names 'source' twice"),
    "source-scheme": (f"{EXTERNAL}.repository", PATTERN),
    "revision-is-a-branch": ("digest", NO_REVISION),
    "revision-is-short": ("digest", NO_REVISION),
    "lock-twice": ("resolvedDependencies", "names 'lock:flake.lock' twice"),
    "dependency-twice": ("resolvedDependencies", "names 'output:library' twice"),
    "dependency-not-in-the-store": ("store_path", PATTERN),
    "validation-twice": ("byproducts", "names 'validation:nix build' twice"),
    "validation-unknown-result": ("result", "Input should be 'PASSED', 'WARNED' or 'FAILED'"),
    "bootstrap-twice": ("byproducts", "names 'bootstrap' twice"),
    "bootstrap-empty": ("tool", "Field required"),
    "member-twice": ("byproducts", "names '/nix/store/a577nlk4wsbf5qw6fyqzb91av7vgns7v-tool-1.0' twice"),
    "platform-twice": ("byproducts", "names 'platform:linux/amd64' twice"),
    "platform-traversal": ("platforms.../x.[key]", PATTERN),
    "no-platform": ("$", "Value error, the image names no platform"),
    "image-repository-traversal": ("repository", PATTERN),
    "started-without-zone": ("runDetails.metadata.startedOn", "Input should have timezone info"),
    "line-with-escape": (f"{EXTERNAL}.ref", PATTERN),
}


@given(RECEIPTS)
def test_what_is_written_reads_back_the_same(receipt: Receipt) -> None:
    written = receipt_statement(receipt)
    read = read_statement(written, "receipt.json")
    assert read == receipt
    assert isinstance(read, Receipt)
    assert receipt_statement(read) == written


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_receipt_reads_as_what_the_build_was(kind: str) -> None:
    assert read_statement((VECTORS / f"good-{kind}.json").read_bytes(), "receipt.json") == good(kind).receipt


def test_a_receipt_may_name_its_job_and_one_that_does_not_is_written_as_ever() -> None:
    plain = good("nix").receipt
    assert b'"runner"' not in receipt_statement(plain)
    named = changed(plain, {"run": changed(plain.run, {"job": "7001", "runner": "GitHub Actions 3"})})
    read = read_statement(receipt_statement(named), "x")
    assert isinstance(read, Receipt)
    assert (read.run.job, read.run.runner, read.run.names_its_job) == ("7001", "GitHub Actions 3", True)
    assert not plain.run.names_its_job


def test_every_vector_is_the_one_that_is_made_and_has_an_expectation() -> None:
    assert set(TAMPERED) == set(REFUSED)
    stored = {file.stem: json.loads(file.read_bytes()) for file in VECTORS.glob("*.json")}
    assert stored == documents(), "write them anew: python -m flywheel_assets_tests.domain.make_vectors"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_tampered_receipt_is_refused_by_the_name_of_its_field(name: str) -> None:
    field, problem = REFUSED[name]
    with pytest.raises(InvalidInputError) as error:
        read_statement((VECTORS / f"{name}.json").read_bytes(), f"{name}.json")
    assert error.value.document == f"{name}.json"
    assert error.value.field == field
    assert error.value.problem.startswith(problem)
    assert problem in (error.value.problem, PATTERN)
    assert error.value.remedy.startswith("Emit the receipt with `flywheel receipt` (docs/receipts.md).")


def test_a_closure_over_the_limit_is_refused() -> None:
    limits = replace(DEFAULT_LIMITS, closure_members=2, validations=1)
    with pytest.raises(InvalidInputError, match="byproducts: 4 entries are too many"):
        read_statement(receipt_statement(good().receipt), "receipt.json", limits)
    huge = statement("nix")
    huge["predicate"]["runDetails"]["byproducts"] += [{"name": f"x{n}"} for n in range(20_200)]
    with pytest.raises(InvalidInputError, match="byproducts: 20,204 entries are too many"):
        read_statement(json.dumps(huge).encode(), "receipt.json")


def test_a_receipt_that_was_read_always_has_canonical_bytes() -> None:
    for kind in KINDS:
        assert canonical(good(kind).receipt.model_dump(mode="json"))


def test_a_dirty_tree_is_assumed_where_the_receipt_does_not_say() -> None:
    document = statement("nix")
    del document["predicate"]["buildDefinition"]["resolvedDependencies"][0]["annotations"]
    read = read_statement(json.dumps(document).encode(), "receipt.json")
    assert isinstance(read, Receipt)
    assert read.run.source.dirty


def outcome(predicate: dict[str, Any]) -> Receipt | TestOutcome:
    subjects = [("x", {"sha256": "0" * 64})]
    return read_statement(statement_bytes(subjects, TEST_RESULT_V01, predicate), "test.json")


@pytest.mark.parametrize("result", list(ValidationResult))
def test_a_test_result_names_its_validation_and_how_it_ended(result: ValidationResult) -> None:
    read = outcome({"result": result.value, "configuration": [{"name": "smoke"}]})
    assert isinstance(read, TestOutcome)
    assert (read.validation.name, read.validation.result) == ("smoke", result)
    assert [subject.hex for subject in read.subjects] == ["0" * 64]


def test_a_test_result_with_a_failed_test_failed_whatever_it_says() -> None:
    read = outcome({"result": "PASSED", "configuration": [{"name": "smoke"}], "failedTests": ["one"]})
    assert isinstance(read, TestOutcome)
    assert read.validation.result is ValidationResult.FAILED


@pytest.mark.parametrize(
    ("predicate", "field"),
    [
        ({"result": "PASSED", "configuration": []}, "configuration"),
        ({"result": "PASSED", "configuration": [{"name": "a"}, {"name": "b"}]}, "configuration"),
        ({"result": "OK", "configuration": [{"name": "a"}]}, "result"),
        ({"configuration": [{"name": "a"}]}, "result"),
        ({"result": "PASSED", "configuration": [{"name": "a"}], "x": 1}, "x"),
    ],
)
def test_a_test_result_that_does_not_say_what_it_must_is_refused(predicate: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        outcome(predicate)
    assert error.value.field == field


def test_two_receipts_with_other_content_are_different_receipts() -> None:
    receipt = good().receipt
    other = changed(receipt, {"artifact": artifact("nix", b"other")})
    assert receipt_statement(receipt) != receipt_statement(other)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["../x", "/nix/store/", "source", "9" * 400, "\ud800", "\x00", "0" * 64, "bootstrap", ""])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    return [found for key, value in items for found in [(*path, key), *_places(value, (*path, key))]]


GOOD = {kind: statement(kind) for kind in KINDS}
PLACES = {kind: _places(document) for kind, document in GOOD.items()}


@given(st.data(), st.sampled_from(KINDS))
def test_a_mutated_receipt_is_read_or_refused_and_nothing_else(data: st.DataObject, kind: str) -> None:
    document = copy.deepcopy(GOOD[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        *way, key = data.draw(st.sampled_from(PLACES[kind]))
        node: Any = document
        try:
            for part in way:
                node = node[part]
            match data.draw(st.sampled_from(["put", "drop", "add"])):
                case "put":
                    node[key] = data.draw(VALUES)
                case "drop":
                    del node[key]
                case _ if isinstance(node, dict):
                    node[data.draw(st.text(max_size=8))] = data.draw(VALUES)
                case _:
                    node.append(data.draw(VALUES))
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier mutation took the place away
    try:
        read = read_statement(json.dumps(document).encode(), "receipt.json")
    except InvalidInputError as error:
        str(error).encode()
    else:
        assert canonical(read.model_dump(mode="json"))
