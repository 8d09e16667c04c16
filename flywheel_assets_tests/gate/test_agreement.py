"""rebuild_agrees: independent second opinions, and disagreements that nothing makes undone."""

import time
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.domain.artifacts import Artifact, NixClosure, OciImage
from flywheel_assets.domain.builds import BuildKey, Trigger, TriggerEvent
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import CasDigest, EvidenceDigest, GitRevision, ManifestDigest, NarHash
from flywheel_assets.domain.disagreements import (
    Comparison,
    Disagreement,
    RecordedComparison,
    RecordedDisagreement,
    contents,
    disputed,
)
from flywheel_assets.domain.evidence import AttestedReceipt, Signatures
from flywheel_assets.domain.listings import Change, Differences
from flywheel_assets.domain.platform_runs import AbsentRun, RecordedRun
from flywheel_assets.domain.verdicts import About
from flywheel_assets.gate.agreement import disagreements
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.opinions import most_apart
from flywheel_assets_tests.gate.cases import (
    KINDS,
    LIBRARY,
    NOW,
    OTHER_KEY,
    PASSED,
    PERMANENTLY,
    REPOSITORY,
    WAITING,
    Bench,
    artifact,
    attested,
    changed,
    closure,
    good,
    image,
    outputs,
    store_path,
    witness_of,
)
from flywheel_assets_tests.gate.decided import after, decided, revocation
from flywheel_assets_tests.gate.test_platform import FORGE_SOURCE, job, record

REBUILD = "rebuild_agrees"
MISSING = (WAITING, "second-builder-missing")


def case_of(bench: Bench) -> Case:
    return Case(bench.bundle, bench.catalogue, bench.catalogue.outputs[bench.output], NOW)


def recorded(bench: Bench, *others: AttestedReceipt) -> tuple[RecordedDisagreement, ...]:
    """What judging ``bench`` beside these witnesses leaves in the log."""
    found = disagreements(case_of(bench.with_bundle(witnesses=others)))
    return tuple(
        RecordedDisagreement(evidence=EvidenceDigest.of(str(number).encode()), disagreement=each)
        for number, each in enumerate(found)
    )


def opinion(builder: str, run: str, *keys: str) -> AttestedReceipt:
    """Another receipt of the good tool, by another builder and run."""
    bench = good()
    key = BuildKey(run=run, attempt=1, system=bench.run.key.system)
    made = changed(bench.receipt, {"run": changed(bench.run, {"key": key, "builder": builder})})
    return attested(made, *keys)


def with_builders(bench: Bench, *names: str, wanted: int) -> Bench:
    """The bench with more Nix builders, each with a key of its own name that may speak for all of them."""
    builders = dict.fromkeys(names, bench.catalogue.builders["nixer"])
    keys = {
        name: changed(bench.catalogue.keys["nixer"], {"builders": ("nixer", "nixer-two", *names)})
        for name in ("nixer", "nixer-two", *names)
    }
    bench = bench.with_part("builders", {**bench.catalogue.builders, **builders})
    bench = bench.with_part("keys", {**bench.catalogue.keys, **keys})
    return bench.with_output(builders_that_must_agree=wanted)


def test_a_second_builder_that_is_wanted_and_did_not_build_is_missing() -> None:
    assert good().with_bundle(witnesses=()).says(REBUILD) == MISSING


def test_an_unsigned_witness_is_no_second_builder() -> None:
    unsigned = attested(good().bundle.witnesses[0].receipt)
    assert good().with_bundle(witnesses=(unsigned,)).says(REBUILD) == MISSING


def test_the_same_builder_twice_is_no_second_builder() -> None:
    twice = witness_of(good(), b"tool")
    assert good().with_bundle(witnesses=(twice,)).says(REBUILD) == MISSING


@pytest.mark.parametrize("kind", KINDS)
def test_an_authentic_witness_of_other_content_disagrees(kind: str) -> None:
    bench = good(kind)
    other = witness_of(bench, b"other")
    found = bench.with_bundle(witnesses=(*bench.bundle.witnesses, other))
    assert found.says(REBUILD) == (PERMANENTLY, "builders-disagree")


def test_another_attempt_of_the_same_run_can_disagree_and_is_no_second_opinion() -> None:
    bench = good()
    again = changed(bench.run.key, {"attempt": bench.run.key.attempt + 1})
    same = witness_of(bench, b"tool").receipt
    retried = attested(changed(same, {"run": changed(bench.run, {"key": again})}), "nixer")
    alone = bench.with_output(builders_that_must_agree=2).with_bundle(witnesses=(retried,))
    assert alone.says(REBUILD) == MISSING
    other = attested(changed(retried.receipt, {"artifact": artifact("nix", b"other")}), "nixer")
    assert bench.with_bundle(witnesses=(*bench.bundle.witnesses, other)).says(REBUILD) == (
        PERMANENTLY,
        "builders-disagree",
    )


def test_an_unsigned_witness_of_other_content_does_not_disagree() -> None:
    bench = good()
    other = attested(witness_of(bench, b"other").receipt)
    assert bench.with_bundle(witnesses=(*bench.bundle.witnesses, other)).says(REBUILD) == (PASSED, "holds")


def test_a_witness_from_a_dirty_tree_or_of_another_definition_does_not_disagree() -> None:
    bench = good()
    other = witness_of(bench, b"other").receipt
    dirty = changed(other, {"run": changed(other.run, {"source": changed(other.run.source, {"dirty": True})})})
    different = changed(other, {"run": changed(other.run, {"definition": "another"})})
    more = (*bench.bundle.witnesses, attested(dirty, "nixer"), attested(different, "nixer"))
    assert bench.with_bundle(witnesses=more).says(REBUILD) == (PASSED, "holds")


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_as_many_builders_must_agree_as_the_catalogue_says(wanted: int) -> None:
    bench = with_builders(good(), "third", wanted=wanted)
    bench = bench.with_bundle(witnesses=(opinion("nixer-two", "201", "nixer-two"), opinion("third", "202", "third")))
    assert bench.says(REBUILD) == ((PASSED, "holds") if wanted <= 3 else MISSING)


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([("nixer-two", "201", "nixer")], id="the signer of the build itself"),
        pytest.param([("nixer-two", "100", "nixer-two")], id="the run of the build itself"),
        pytest.param([("nixer", "201", "nixer-two")], id="the builder of the build itself"),
        pytest.param([("nixer-two", "201", "third"), ("third", "202", "third")], id="one signer for two others"),
        pytest.param([("nixer-two", "201", "nixer-two"), ("third", "201", "third")], id="one run for two others"),
        pytest.param([("third", "201", "nixer-two"), ("third", "202", "third")], id="one builder for two others"),
    ],
)
def test_opinions_that_share_builder_run_or_signer_are_one(others: list[tuple[str, str, str]]) -> None:
    wanted = len(others) + 1
    bench = with_builders(good(), "third", wanted=wanted)
    bench = bench.with_bundle(witnesses=tuple(opinion(*other) for other in others))
    assert bench.says(REBUILD) == MISSING
    assert bench.with_output(builders_that_must_agree=wanted - 1).says(REBUILD) == (PASSED, "holds")


def test_a_run_that_shares_a_signer_with_two_others_does_not_hide_that_these_are_two() -> None:
    """To count greedily would take the first, and find no second beside it."""
    others = (opinion("aaa", "201", "nixer-two", "third"), opinion("nixer-two", "202", "nixer-two"))
    bench = with_builders(good(), "aaa", "third", wanted=3)
    bench = bench.with_bundle(witnesses=(*others, opinion("third", "203", "third")))
    assert bench.says(REBUILD) == (PASSED, "holds")


@given(st.lists(st.tuples(*(st.sampled_from("abcd"),) * 3), max_size=7), st.integers(0, 6), st.integers(1, 4))
def test_one_more_opinion_never_makes_fewer_builders_agree(
    others: list[tuple[str, str, str]], left_out: int, wanted: int
) -> None:
    bench = with_builders(good(), *"abcd", wanted=wanted)
    all_ = [opinion(builder, f"2{run}", signer) for builder, run, signer in others]
    fewer = [each for number, each in enumerate(all_) if number != left_out]
    if bench.with_bundle(witnesses=tuple(fewer)).says(REBUILD)[0] is PASSED:
        assert bench.with_bundle(witnesses=tuple(all_)).says(REBUILD)[0] is PASSED


MARKS = st.tuples(st.sampled_from("abcd"), st.sampled_from("rst"), st.sampled_from("xyz")).map(
    lambda names: frozenset({f"the builder {names[0]}", f"run {names[1]}", f"the signer {names[2]}"})
)


@given(st.lists(MARKS, max_size=8), st.integers(0, 4))
def test_as_many_opinions_count_as_any_choice_of_them_has_apart(opinions: list[frozenset[str]], enough: int) -> None:
    """Against every choice, tried one by one."""
    choices = (c for size in range(5) for c in combinations(opinions, size))
    apart = (len(c) for c in choices if not any(a & b for a, b in combinations(c, 2)))
    assert most_apart(opinions, enough) == min(enough, max(apart))


def test_hundreds_of_entangled_opinions_are_counted_in_no_time() -> None:
    """With five signers for nine builders no more than five are apart, which only all choices would show."""
    names = [f"b{number}" for number in range(9)]
    bench = with_builders(good(), *names, wanted=9)
    others = [opinion(names[n % 9], f"r{n % 31}", names[n % 5], names[n % 7]) for n in range(300)]
    bench = bench.with_bundle(witnesses=tuple(others))
    began = time.process_time()
    assert bench.says(REBUILD) == MISSING
    assert time.process_time() - began < 2
    assert bench.with_output(builders_that_must_agree=3).says(REBUILD) == (PASSED, "holds")


@pytest.mark.parametrize(
    ("runners", "expected"),
    [
        (("machine-1", "machine-1"), MISSING),
        (("machine-1", "machine-2"), (PASSED, "holds")),
    ],
)
def test_two_jobs_on_one_runner_are_no_second_opinion(runners: tuple[str, str], expected: tuple[object, str]) -> None:
    mine, theirs = (
        changed(job(label=label), {"runner": runner})
        for label, runner in zip(("nixer", "nixer-two"), runners, strict=True)
    )
    bench = good().with_part("sources", {"forge": FORGE_SOURCE})
    bench = bench.with_bundle(platform_runs=(record(jobs=(mine,)), record(run="200", jobs=(theirs,))))
    assert bench.says(REBUILD) == expected
    if expected is MISSING:
        assert "share the runner machine-1 with it" in bench.finding(REBUILD).message


@pytest.mark.parametrize(("named", "expected"), [("1", (PASSED, "holds")), ("2", MISSING), (None, MISSING)])
def test_of_a_run_with_several_jobs_the_runner_counts_of_the_one_that_the_receipt_names(
    named: str | None, expected: tuple[object, str]
) -> None:
    mine = tuple(job(id=number, runner=f"machine-{number}") for number in ("1", "2"))
    theirs = job(label="nixer-two", runner="machine-2")
    bench = good().with_part("sources", {"forge": FORGE_SOURCE}).with_run(job=named)
    bench = bench.with_bundle(platform_runs=(record(jobs=mine), record(run="200", jobs=(theirs,))))
    assert bench.says(REBUILD) == expected


# What stays


@pytest.mark.parametrize("kind", KINDS)
def test_content_that_was_ever_in_dispute_is_rejected_under_a_later_run_and_revision(kind: str) -> None:
    bench = good(kind)
    disputes = recorded(bench, witness_of(bench, b"other"))
    later = bench.with_source(revision=GitRevision("c" * 40)).with_bundle(
        disagreements=disputes, witnesses=(), build=OTHER_KEY
    )
    later = later.with_run(key=OTHER_KEY).with_output(builders_that_must_agree=1)
    assert later.says(REBUILD) == (PERMANENTLY, "digest-disputed")
    assert later.with_bundle(disagreements=()).says(REBUILD) == (PASSED, "holds")
    theirs = later.with_receipt(artifact=artifact(kind, b"other"))
    assert theirs.says(REBUILD) == (PERMANENTLY, "digest-disputed")
    third = later.with_receipt(artifact=artifact(kind, b"third"))
    assert third.says(REBUILD) == (PASSED, "holds")


def test_a_dispute_about_another_output_is_none_about_this_one() -> None:
    """Whoever may build one output could otherwise keep back any other."""
    bench = good()
    (dispute,) = recorded(bench, witness_of(bench, b"other"))
    elsewhere = changed(dispute, {"disagreement": changed(dispute.disagreement, {"output": "library"})})
    assert bench.with_bundle(disagreements=(elsewhere,)).says(REBUILD) == (PASSED, "holds")


def test_both_builds_record_the_same_disagreement() -> None:
    bench = good()
    (mine,) = recorded(bench, witness_of(bench, b"other"))
    other = witness_of(bench, b"other")
    theirs = bench.with_bundle(build=OTHER_KEY, receipts=(other,))
    (same,) = recorded(theirs, bench.bundle.receipts[0])
    assert same.disagreement == mine.disagreement
    assert mine.disagreement.disputed == tuple(sorted((NarHash.of(b"tool").hex, NarHash.of(b"other").hex)))


def _unsigned(bench: Bench) -> Bench:
    return bench.with_bundle(receipts=(attested(bench.receipt),))


def _absent(bench: Bench) -> Bench:
    lost = AbsentRun(repository=REPOSITORY, run=OTHER_KEY.run, attempt=1)
    runs = (record(), RecordedRun(evidence=EvidenceDigest.of(b"absent"), found=lost))
    return bench.with_part("sources", {"forge": FORGE_SOURCE}).with_bundle(platform_runs=runs)


def _quarantined(bench: Bench) -> Bench:
    return after(bench, decided(Act.QUARANTINE, "bob", key="nixer-two"))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_quarantined, id="the witness was signed by a key that leaked"),
        pytest.param(_unsigned, id="the build is nobody's word"),
        pytest.param(lambda bench: bench.with_source(dirty=True), id="the build is of a dirty tree"),
        pytest.param(
            lambda bench: bench.with_run(trigger=Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone")),
            id="the build is a proposal",
        ),
        pytest.param(
            lambda bench: bench.with_run(trigger=Trigger(event=TriggerEvent.PUSH, actor="someone", from_fork=True)),
            id="the build is of a fork",
        ),
        pytest.param(lambda bench: bench.with_run(definition="another"), id="the build is of another definition"),
        pytest.param(_absent, id="the forge has no run of the witness"),
        pytest.param(
            lambda bench: bench.with_part("sources", {"forge": FORGE_SOURCE}).with_bundle(platform_runs=(record(),)),
            id="the forge was not heard about the witness",
        ),
    ],
)
def test_nothing_is_recorded_for_good_on_the_word_of_a_run_that_has_no_say(change: object) -> None:
    bench = good().with_bundle(witnesses=(witness_of(good(), b"other", builder="nixer-two"),))
    assert len(disagreements(case_of(bench))) == 1
    assert callable(change)
    assert disagreements(case_of(change(bench))) == ()


# What is in dispute


def _other_library() -> NixClosure:
    made = closure()
    members = tuple(
        changed(m, {"nar_hash": NarHash.of(b"another library")}) if m.path == LIBRARY else m for m in made.members
    )
    return changed(made, {"members": members})


def _other_platform() -> OciImage:
    platforms = {**image().platforms, "linux/arm64": ManifestDigest.of(b"another")}
    return changed(image(b"other index"), {"platforms": platforms})


def _hexes(*digests: object) -> set[str]:
    return {str(digest).removeprefix("sha256:") for digest in digests}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (closure(), closure(), set()),
        (closure(), closure(b"other"), _hexes(NarHash.of(b"tool"), NarHash.of(b"other"))),
        (
            closure(),
            _other_library(),
            _hexes(NarHash.of(b"tool"), NarHash.of(b"library"), NarHash.of(b"another library")),
        ),
        (
            image(),
            _other_platform(),
            _hexes(*map(ManifestDigest.of, (b"index", b"other index", b"arm64", b"another"))),
        ),
        (outputs(), outputs(b"other"), _hexes(CasDigest.of(b"report"), CasDigest.of(b"other"))),
    ],
)
def test_what_only_one_of_two_builds_has_is_in_dispute(one: Artifact, other: Artifact, expected: set[str]) -> None:
    assert set(disputed(one, other)) == expected
    assert disputed(other, one) == disputed(one, other)


def test_a_closure_consists_of_all_its_members() -> None:
    assert contents(closure()) == _hexes(NarHash.of(b"tool"), NarHash.of(b"library"))


def test_a_member_that_differs_is_in_dispute_within_that_root_alone() -> None:
    bench = good()
    disputes = recorded(bench, with_artifact(bench, _other_library()))
    later = later_build(bench, disputes)
    for same_root in (closure(), _other_library()):
        assert later.with_receipt(artifact=same_root).says(REBUILD) == (PERMANENTLY, "digest-disputed")
    others = {m.path: m for m in _other_library().members}
    for library in (closure().by_path[LIBRARY], others[LIBRARY]):
        next_version = closure(b"the next version")
        made = changed(next_version, {"members": (next_version.by_path[next_version.root], library)})
        assert later.with_receipt(artifact=made).says(REBUILD) == (PASSED, "holds")


def test_the_same_bytes_under_another_root_are_in_dispute_for_good() -> None:
    made = closure()
    moved = f"{made.root}-moved"
    elsewhere = changed(
        made, {"root": moved, "members": (changed(made.by_path[made.root], {"path": moved, "references": ()}),)}
    )
    bench = good()
    later = later_build(bench, recorded(bench, with_artifact(bench, elsewhere)))
    for either in (made, elsewhere):
        assert later.with_receipt(artifact=either).says(REBUILD) == (PERMANENTLY, "digest-disputed")


# Who is in quarantine binds nobody


def with_artifact(bench: Bench, made: NixClosure) -> AttestedReceipt:
    """Another builder's run of the same revision that got this."""
    other = witness_of(bench, b"other", builder="nixer-two")
    return attested(changed(other.receipt, {"artifact": made}), "nixer-two")


def later_build(bench: Bench, disputes: tuple[RecordedDisagreement, ...]) -> Bench:
    """Another run, of a later revision, that needs no second opinion."""
    later = bench.with_source(revision=GitRevision("c" * 40)).with_run(key=BuildKey.parse("300.1.x86_64-linux"))
    return later.with_bundle(disagreements=disputes, witnesses=()).with_output(builders_that_must_agree=1)


def fingerprint(name: str) -> str:
    return good().catalogue.keys[name].fingerprint


COMPROMISED = [
    pytest.param({"key": "nixer-two", "fingerprint": fingerprint("nixer-two")}, id="its key"),
    pytest.param({"key": "renamed", "fingerprint": fingerprint("nixer-two")}, id="its key, under a later name"),
    pytest.param({"key": "nixer-two"}, id="its key, by its name alone"),
    pytest.param({"repository": REPOSITORY, "run": OTHER_KEY.run}, id="its run"),
]


@pytest.mark.parametrize("scope", COMPROMISED)
def test_what_the_honest_side_built_passes_again_once_the_other_side_is_in_quarantine(scope: dict[str, Any]) -> None:
    bench = good().with_output(builders_that_must_agree=1)
    against = witness_of(bench, b"other", builder="nixer-two")
    disputes = recorded(bench, against)
    itself = bench.with_bundle(witnesses=(against,), disagreements=disputes)
    said = decided(Act.QUARANTINE, "bob", **scope)
    for build in (itself, later_build(bench, disputes)):
        assert build.says(REBUILD)[0] is PERMANENTLY
        assert after(build, said).says(REBUILD) == (PASSED, "holds")
        assert after(build, said, revocation(said, "carol")).says(REBUILD) == build.says(REBUILD)
    theirs = later_build(bench, disputes).with_receipt(artifact=artifact("nix", b"other"))
    assert after(theirs, said).says(REBUILD) == (PERMANENTLY, "digest-disputed")


@pytest.mark.parametrize(
    "scope",
    [
        {"key": "nixer", "fingerprint": fingerprint("nixer")},
        {"key": "nixer-two", "fingerprint": fingerprint("docker")},
        {"key": "docker"},
        {"repository": "https://github.com/example/elsewhere", "run": OTHER_KEY.run},
    ],
)
def test_a_quarantine_of_somebody_else_leaves_a_dispute_as_it_is(scope: dict[str, Any]) -> None:
    disputes = recorded(good(), witness_of(good(), b"other", builder="nixer-two"))
    said = decided(Act.QUARANTINE, "bob", **scope)
    assert after(later_build(good(), disputes), said).says(REBUILD) == (PERMANENTLY, "digest-disputed")


def test_a_record_of_before_sides_were_told_binds_both_for_good() -> None:
    (made,) = recorded(good(), witness_of(good(), b"other", builder="nixer-two"))
    raw = made.disagreement.model_dump(mode="json")
    new = {"repository", "keys", "fingerprints", "content"}
    raw["sides"] = [{name: value for name, value in side.items() if name not in new} for side in raw["sides"]]
    old = (changed(made, {"disagreement": Disagreement.model_validate(raw)}),)
    said = decided(Act.QUARANTINE, "bob", key="nixer-two")
    for content in (b"tool", b"other"):
        later = later_build(good(), old).with_receipt(artifact=artifact("nix", content))
        assert after(later, said).says(REBUILD) == (PERMANENTLY, "digest-disputed")
    assert later_build(good(), old).with_receipt(artifact=artifact("nix", b"third")).says(REBUILD) == (PASSED, "holds")


# Which files


def comparison(differences: Differences | None, problem: str = "") -> tuple[RecordedComparison, ...]:
    digests = (NarHash.of(b"tool").hex, NarHash.of(b"other").hex)
    found = Comparison(
        output="tool", path=store_path("tool-1.0"), digests=digests, differences=differences, problem=problem
    )
    return (RecordedComparison(evidence=EvidenceDigest.of(b"comparison"), comparison=found),)


def test_a_disagreement_says_which_files_differ_and_how_many_more() -> None:
    first = tuple(Change(path=f"bin/{name}", how="content", sizes=(10, 1200)) for name in "abcd")
    differences = Differences(added=0, removed=0, changed=7, same=2, first=first)
    bench = good().with_bundle(witnesses=(witness_of(good(), b"other"),), comparisons=comparison(differences))
    assert bench.finding(REBUILD).message.endswith(
        "7 of 9 files differ: bin/a (content, 10 → 1,200 bytes), bin/b (content, 10 → 1,200 bytes), "
        "bin/c (content, 10 → 1,200 bytes) and 4 more"
    )


def test_a_body_that_could_not_be_compared_is_named() -> None:
    known = comparison(None, "the cached body is empty")
    bench = good().with_bundle(witnesses=(witness_of(good(), b"other"),), comparisons=known)
    assert bench.finding(REBUILD).message.endswith("which files differ is not known: the cached body is empty")


def test_a_comparison_alone_decides_nothing() -> None:
    assert good().with_bundle(comparisons=comparison(None, "…")).says(REBUILD) == (PASSED, "holds")


# The rebuilder


def _rebuilding(bench: Bench) -> Bench:
    rebuilder = {"builder": "nixer-two", "nix": "/usr/bin/nix", "store": "local?root=/nowhere"}
    raw = {**bench.catalogue.model_dump(mode="json", by_alias=True), "rebuilder": rebuilder}
    return Bench(bench.kind, bench.bundle, type(bench.catalogue).model_validate(raw))


def test_who_waits_is_told_whether_a_rebuilder_is_asked() -> None:
    alone = good().with_bundle(witnesses=())
    wanted = "A rebuild is wanted, and nothing here makes one: wait for, or start, a build"
    assert alone.finding(REBUILD).remedy.startswith(wanted)
    asked = _rebuilding(alone)
    assert asked.finding(REBUILD).remedy.startswith(
        "nixer-two is asked to build it again, once a day; or start a build"
    )
    elsewhere = changed(asked.run.key, {"system": "aarch64-linux"})
    assert asked.with_run(key=elsewhere).finding(REBUILD).remedy.startswith(wanted)
    image_ = good("oci").with_output(builders_that_must_agree=2)
    assert image_.finding(REBUILD).remedy.startswith("Wait for, or start, a build")


def test_what_the_rebuilder_built_speaks_for_others_and_is_not_promoted() -> None:
    bench = _rebuilding(good())
    theirs = bench.with_run(builder="nixer-two").with_signatures(Signatures(keys=("nixer-two",)))
    assert theirs.says(REBUILD) == (PERMANENTLY, "second-opinion")
    assert theirs.finding(REBUILD).about is About.POLICY
    disagreeing = theirs.with_bundle(witnesses=(witness_of(bench, b"other"),))
    assert disagreeing.says(REBUILD) == (PERMANENTLY, "builders-disagree")


def test_the_forge_is_not_asked_about_what_this_installation_built_itself() -> None:
    forge = {"forge": FORGE_SOURCE}
    bench = good().with_part("sources", forge).with_bundle(platform_runs=(record(),))
    assert bench.says(REBUILD) == MISSING
    assert _rebuilding(bench).says(REBUILD) == (PASSED, "holds")


def test_what_another_run_shares_with_it_is_named_and_more_builders_than_needed_are_not_counted() -> None:
    alike = good().with_bundle(witnesses=(witness_of(good(), b"tool"),)).finding(REBUILD)
    assert alike.message.endswith("so far; other runs share the builder nixer, the signer nixer with it")
    seen = (*good().bundle.witnesses, opinion("third", "300", "third"), opinion("fourth", "400", "fourth"))
    many = with_builders(good(), "third", "fourth", wanted=2).with_bundle(witnesses=seen)
    assert many.finding(REBUILD).message == "2 of 2 builders needed, none disagrees"


def test_of_several_comparisons_the_last_one_is_told() -> None:
    known = (*comparison(None, "the cached body is empty"), *comparison(None, "it could not be read"))
    bench = good().with_bundle(witnesses=(witness_of(good(), b"other"),), comparisons=known)
    assert bench.finding(REBUILD).message.count("which files differ is not known") == 1
    assert bench.finding(REBUILD).message.endswith("it could not be read")
