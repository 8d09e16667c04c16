"""Releases of flakes for tests: what was approved of the sample's tide-clock, and the proofs of a release of it."""

import json
from collections.abc import Callable

from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.publications import FlakeRelease, Proof, Release
from flywheel_assets.domain.statements import PROVENANCE_V1, VSA_V1
from flywheel_assets.gate.evaluate import Approved, approve
from flywheel_assets.ports import Signer
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.summaries import PROMOTED, VALIDATED, levels_of, summary
from flywheel_assets_tests.promotion.installation import CLOCK
from flywheel_assets_tests.scripted import Answer, Scripted

FLAKE, ATTRIBUTE = "example-org/harbor-tools", "packages.x86_64-linux.tide-clock"


def approved_clock(flywheel: Flywheel) -> Approved:
    return approve(assemble(flywheel, "tide-clock", CLOCK), flywheel.catalogue, flywheel.clock())


def released(version: str | None, revision: str) -> FlakeRelease:
    """How tide-clock is to be released."""
    return FlakeRelease(
        name=FLAKE,
        version=version,
        revision=GitRevision(revision),
        attribute=ATTRIBUTE,
        repository="https://github.com/example-org/harbor-tools",
        workflow="flakehub-publish.yml",
        ref="main",
    )


def summary_for(
    flywheel: Flywheel, resource: str, *, signer: Signer | None = None, levels: list[str] | None = None
) -> bytes:
    """The summary about tide-clock, as a promotion signs it; FAILED without levels."""
    approved = approved_clock(flywheel)
    return summary(
        signer or flywheel.release_signer,
        flywheel.catalogue,
        approved.artifact,
        approved.verdict,
        resource=resource,
        levels=levels_of(approved.slsa_build_level, VALIDATED, PROMOTED) if levels is None else levels,
    )


def attach(flywheel: Flywheel, flake: FlakeRelease, change: Callable[[str], str] = str) -> None:
    """Put the proofs of a release beside the closure, as its promotion does; ``change`` the summary's resource."""
    approved, surface = approved_clock(flywheel), flywheel.surfaces["durable-nix", "attic-main"]
    provenance = flywheel.evidence.get(approved.attested.evidence)
    vsa = summary_for(flywheel, change(flake.resource))
    release = Release(output="tide-clock", build=CLOCK, artifact=approved.artifact, flake=flake)
    proofs = (
        Proof(name="provenance", predicate_type=PROVENANCE_V1, envelope=provenance),
        Proof(name="vsa", predicate_type=VSA_V1, envelope=vsa),
    )
    surface.attach(surface.plan(release), proofs)
    assert {each.data for each in surface.proofs(release)} == {provenance, vsa}


def flakehub_of(scripted: Scripted, version: str, revision: str, store_path: str) -> str:
    """Let a server tell of one release as FlakeHub does; its reference."""
    release = {"version": version, "simplified_version": version, "revision": revision}
    output = {"attribute_path": ATTRIBUTE, "store_path": store_path}
    scripted.answers[f"GET /f/{FLAKE}/releases"] = Answer(body=json.dumps([release]).encode())
    scripted.answers[f"GET /f/{FLAKE}/%3D{version}/output/{ATTRIBUTE}"] = Answer(body=json.dumps(output).encode())
    return f"flakehub:{FLAKE}/{version}#{ATTRIBUTE}"
