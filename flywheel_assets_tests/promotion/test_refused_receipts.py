"""Receipts that speak for what is not theirs: each is refused with a reason of its own, whatever form it came in."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets_tests.adapters.signatures.miniature import Json, bundle, but, text
from flywheel_assets_tests.promotion.installation import a_signer, in_memory, resigned, trusting, with_statement
from flywheel_assets_tests.promotion.test_bundled_receipts import (
    OTHER,
    RECEIPT,
    delivered,
    keyless,
    source,
    statement,
    wrapped,
)

Change = Callable[[dict[str, Any]], object]
KEY, OUTPUT = "tinyland-nix", "tide-clock"
RUN, ATTEMPT = "14402201001", 1


def as_it_is(_: dict[str, Any]) -> None:
    """The receipt that the job signed."""


def definition(said: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = said["predicate"]["buildDefinition"]
    return found


def of_another_repository(said: dict[str, Any]) -> None:
    definition(said)["externalParameters"]["repository"] = "https://github.com/example/elsewhere"


def of_another_builder(said: dict[str, Any]) -> None:
    said["predicate"]["runDetails"]["builder"]["id"] = "urn:flywheel-assets:builder:tinyland-docker"


def of_another_run(said: dict[str, Any]) -> None:
    definition(said)["internalParameters"]["run"]["id"] = "14402209999"


def of_another_attempt(said: dict[str, Any]) -> None:
    definition(said)["internalParameters"]["run"]["attempt"] = 2


def reason(document: bytes, catalogue: Catalogue) -> str:
    """Why the only build is refused; empty when it is validated."""
    _, flywheel = delivered(document, catalogue)
    (build,) = builds_of(flywheel, OUTPUT)
    verdict = judge(flywheel, OUTPUT, build).verdict
    return "" if verdict.validated else verdict.worst.reason


CLAIMS: list[tuple[Change, str]] = [
    (as_it_is, ""),
    (of_another_repository, "key-not-for-repository"),
    (of_another_builder, "key-not-for-builder"),
]
REPLAYS: list[Change] = [of_another_run, of_another_attempt, of_another_repository, of_another_builder]


@pytest.mark.parametrize(("change", "expected"), CLAIMS)
def test_a_key_speaks_for_no_other_repository_or_builder(change: Change, expected: str) -> None:
    signer = a_signer("builder")
    document = resigned(in_memory(RECEIPT).inbox.documents[RECEIPT], signer, change)
    assert reason(document, trusting(KEY, signer)) == expected


@pytest.mark.parametrize("change", REPLAYS)
def test_a_receipt_that_is_moved_under_its_old_signature_is_nobodys_word(change: Change) -> None:
    signer = a_signer("builder")
    signed = resigned(in_memory(RECEIPT).inbox.documents[RECEIPT], signer, as_it_is)
    assert reason(with_statement(signed, change), trusting(KEY, signer)) == "signature-invalid"


@pytest.mark.parametrize(("change", "expected"), CLAIMS)
def test_an_identity_speaks_for_no_other_repository_or_builder(change: Change, expected: str) -> None:
    said = json.loads(statement())
    change(said)
    document = bundle(json.dumps(said).encode(), but(**source()))
    assert reason(json.dumps(document).encode(), keyless()) == expected


@pytest.mark.parametrize("change", REPLAYS)
def test_a_bundle_whose_receipt_was_moved_is_nobodys_word(change: Change) -> None:
    said, document = json.loads(statement()), wrapped()
    change(said)
    envelope: Json = {**document["dsseEnvelope"], "payload": text(json.dumps(said).encode())}
    moved = {**document, "dsseEnvelope": envelope}
    assert reason(json.dumps(moved).encode(), keyless()) == "signature-invalid"


def attempt(run: str, number: int) -> str:
    return f"{source()['repository']}/actions/runs/{run}/attempts/{number}"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"invocation": attempt(RUN, ATTEMPT)}, ""),
        ({"invocation": attempt("14402209999", ATTEMPT)}, "certificate-of-another-run"),
        ({"invocation": attempt(RUN, 2)}, "certificate-of-another-run"),
        ({"revision": "f" * 40}, "origin-contradicts-receipt"),
        ({"repository": OTHER["repository"]}, "origin-contradicts-receipt"),
        ({"invocation": attempt("14402209999", ATTEMPT), "revision": "f" * 40}, "origin-contradicts-receipt"),
    ],
    ids=["its own run", "another run", "another attempt", "another revision", "another repository", "two of these"],
)
def test_a_certificate_of_another_run_or_source_speaks_for_no_receipt_of_this_one(
    named: dict[str, str], expected: str
) -> None:
    assert reason(json.dumps(wrapped(but(**source() | named))).encode(), keyless()) == expected


def test_a_job_that_signs_a_receipt_of_another_run_does_not_harm_that_runs_own() -> None:
    memory, flywheel = delivered(
        json.dumps(wrapped(but(**source(), invocation=attempt("14402209999", 1)))).encode(), keyless()
    )
    (build,) = builds_of(flywheel, OUTPUT)
    refused = judge(flywheel, OUTPUT, build)
    assert (
        f"/runs/14402209999/attempts/1, and the receipt is of attempt 1 of run {RUN}" in refused.verdict.worst.message
    )
    assert refused.recorded.vsa is None
    true = wrapped(but(**source(), invocation=attempt(RUN, ATTEMPT)))
    memory.inbox.documents["later.sigstore.json"] = json.dumps(true).encode()
    take_in(flywheel)
    assert judge(flywheel, OUTPUT, build).verdict.publishable
