"""source_order_is_kept and durable_surface_exists."""

from datetime import datetime, timedelta
from typing import Literal

import pytest

from flywheel_assets.catalog.models import FlakeTarget, Repository, Visibility
from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.evidence import ChannelHead, Signatures
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets_tests.gate.cases import (
    APPROVAL,
    CANNOT,
    OTHER_KEY,
    PASSED,
    PERMANENTLY,
    REPOSITORY,
    STARTED,
    Bench,
    changed,
    good,
)

ORDER, SURFACE = "source_order_is_kept", "durable_surface_exists"
COMMITTED = STARTED - timedelta(days=1)


def after(bench: Bench, committed_at: datetime | None, revision: str = "b" * 40) -> Bench:
    """The build beside another that is published already."""
    head = ChannelHead(build=OTHER_KEY, revision=GitRevision(revision), committed_at=committed_at)
    return bench.with_bundle(channel=head)


@pytest.mark.parametrize("kind", ["nix", "oci"])
@pytest.mark.parametrize("rule", [ORDER, SURFACE])
def test_a_good_build_may_go_to_its_surface(kind: str, rule: str) -> None:
    assert good(kind).says(rule) == (PASSED, "holds")


def test_an_unauthenticated_receipt_says_nothing_of_its_source_order() -> None:
    assert good().with_signatures(Signatures()).says(ORDER) == (CANNOT, "no-authentic-receipt")


def test_an_older_source_than_the_published_one_needs_a_person() -> None:
    assert after(good(), COMMITTED + timedelta(seconds=1)).says(ORDER) == (APPROVAL, "older-than-channel")


@pytest.mark.parametrize("age", [0, 1])
def test_a_source_that_is_not_older_than_the_published_one_keeps_the_order(age: int) -> None:
    assert after(good(), COMMITTED - timedelta(seconds=age)).says(ORDER) == (PASSED, "holds")


def test_an_older_source_than_a_withdrawn_one_needs_a_person_who_decides_to_go_back() -> None:
    newer = after(good(), COMMITTED + timedelta(seconds=1))
    head = newer.bundle.channel
    assert head is not None
    bench = newer.with_bundle(channel=head.model_copy(update={"withdrawn": True}))
    assert bench.says(ORDER) == (APPROVAL, "older-than-channel")
    finding = next(finding for finding in bench.verdict().findings if finding.rule == ORDER)
    assert finding.message.endswith("was published, and withdrawn since")
    assert finding.remedy.startswith("Decide whether to go back to it: `flywheel approve")


def test_the_same_revision_again_keeps_the_order() -> None:
    assert after(good(), None, "a" * 40).says(ORDER) == (PASSED, "holds")


def test_an_order_is_unknown_when_either_side_does_not_say_when_it_was_committed() -> None:
    assert after(good(), None).says(ORDER) == (CANNOT, "order-unknown")
    assert after(good().with_source(committed_at=None), COMMITTED).says(ORDER) == (CANNOT, "order-unknown")


def test_an_output_without_publication_has_no_durable_surface() -> None:
    assert good("bazel").says(SURFACE) == (PERMANENTLY, "no-durable-surface")
    assert good().with_output(publication=None).says(SURFACE) == (PERMANENTLY, "no-durable-surface")


@pytest.mark.parametrize(
    ("versions", "ref", "says"),
    [
        ("tag", "refs/heads/main", (PERMANENTLY, "no-version-tag")),
        ("tag", "refs/tags/nightly", (PERMANENTLY, "no-version-tag")),
        ("tag", "refs/tags/vv1.2.3", (PERMANENTLY, "no-version-tag")),
        ("tag", "refs/tags/v1.2", (PERMANENTLY, "no-version-tag")),
        ("tag", "v1.2.3", (PERMANENTLY, "no-version-tag")),
        ("tag", "refs/tags/v1.2.3", (PASSED, "holds")),
        ("tag", "refs/tags/1.2.3-rc.1", (PASSED, "holds")),
        ("rolling", "refs/heads/main", (PASSED, "holds")),
    ],
)
def test_a_flake_that_is_versioned_by_tags_takes_only_builds_of_such_tags(
    versions: Literal["rolling", "tag"], ref: str, says: tuple[VerdictClass, str]
) -> None:
    target = good().catalogue.outputs["tool"].publication
    assert target is not None
    flake = FlakeTarget(name="org/tool", versions=versions, workflow="publish.yml", binaries="durable-nix")
    bench = good().with_output(publication=changed(target, {"flake": flake}))
    assert bench.with_source(ref=ref).says(SURFACE) == says


@pytest.mark.parametrize("visibility", [Visibility.INTERNAL, Visibility.PRIVATE])
def test_a_non_public_source_on_a_public_surface_must_be_decided(visibility: Visibility) -> None:
    bench = good().with_part("repositories", {REPOSITORY: Repository(visibility=visibility)})
    assert bench.says(SURFACE) == (APPROVAL, "disclosure-undecided")
    target = bench.catalogue.outputs["tool"].publication
    assert target is not None
    decided = bench.with_output(publication=changed(target, {"disclosure": "The maintainers decided it."}))
    assert decided.says(SURFACE) == (PASSED, "holds")
    inside = bench.with_entry("surfaces", "durable-nix", visibility=Visibility.INTERNAL)
    assert inside.says(SURFACE) == (PASSED, "holds")
