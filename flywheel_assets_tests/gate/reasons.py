"""Every reason code of the gate: whose it is, which verdicts it comes with, and what people are told of it.

docs/reasons.md is ``render()``; write it anew with ``python -m flywheel_assets_tests.gate.reasons``.
"""

from dataclasses import dataclass
from pathlib import Path

from flywheel_assets.domain.verdicts import VerdictClass

PASSED, WAITING = VerdictClass.PASSED, VerdictClass.WAITING
APPROVAL, CANNOT = VerdictClass.NEEDS_APPROVAL, VerdictClass.CANNOT_DETERMINE
TEMPORARILY, PERMANENTLY = VerdictClass.REJECTED_TEMPORARILY, VerdictClass.REJECTED_PERMANENTLY
PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"

BUILDER, CACHE = "owner of the builder path", "owner of the cache"
OUTPUT, CATALOGUE = "owner of the output", "owner of the output, in the catalogue"
NOBODY = "nobody"


@dataclass(frozen=True)
class Reason:
    """One row of docs/reasons.md."""

    rules: str
    verdict: VerdictClass | tuple[VerdictClass, ...]
    meaning: str
    change: str
    actor: str

    @property
    def verdicts(self) -> frozenset[VerdictClass]:
        """The verdict classes that the code comes with."""
        return frozenset({self.verdict} if isinstance(self.verdict, VerdictClass) else self.verdict)


TRANSIENT, USE, AUTHENTIC = "output_is_not_transient", "use_is_intended", "receipt_is_authentic"
FORGE = "forge_vouches_for_the_run"
BOOTSTRAP, KNOWN, REBUILD = "toolchain_bootstrap_was_proven", "builder_is_known", "rebuild_agrees"
CLOSURE, BODY, GREEN = "closure_is_complete", "whole_body_matches_digest", "validation_is_green"
SOURCE, ORDER, AUTHORITY = "source_can_be_reidentified", "source_order_is_kept", "release_authority_holds"
WITHDRAWN, HELD, GIVEN = "not_withdrawn", "not_held", "approvals_are_given"
SURFACE, OWNERSHIP, WHOLE = "durable_surface_exists", "ownership_is_documented", "evidence_is_whole"

REPEAT = "Emit the receipt of the same run again, signed with the builder's key."
ANEW = "Build again under a new run."
CLEAN = "Build again from a clean checkout with locked inputs."
TRUST = "Sign with a key that is isolated from the job, or trust the builder's claim in the catalogue."
REFILL = "Push it to the cache again; `flywheel run`, `flywheel promote` and the daily reconciliation read it anew."
INVESTIGATE = "Find out who pushed to the cache, then build again under a new run."
UNLESS = "Nothing, unless its role in the catalogue is wrong."
LABELS = f"{BUILDER}, {CATALOGUE}"

REASONS: dict[str, Reason] = {
    "holds": Reason("every rule", PASSED, "What the rule asks for is so.", "Nothing has to.", NOBODY),
    "no-authentic-receipt": Reason(
        f"{FORGE}, {BOOTSTRAP}, {KNOWN}, {REBUILD}, {CLOSURE}, {BODY}, {GREEN}, "
        f"{SOURCE}, {ORDER}, {OWNERSHIP}, {TRANSIENT}, {WITHDRAWN}, {GIVEN}",
        CANNOT,
        "Nobody who may speak for the build signed its receipt, so nothing in it is looked at.",
        f"See {AUTHENTIC}, which says why.",
        "the builder",
    ),
    # output_is_not_transient
    "alias": Reason(TRANSIENT, PERMANENTLY, "It is another name of an output.", "Promote that output itself.", NOBODY),
    "check": Reason(TRANSIENT, PERMANENTLY, "It proves something; it is nothing to distribute.", UNLESS, NOBODY),
    "shell": Reason(TRANSIENT, PERMANENTLY, "It equips a shell; it is nothing to distribute.", UNLESS, NOBODY),
    "export": Reason(TRANSIENT, PERMANENTLY, "It is a manual export of an output.", UNLESS, NOBODY),
    "debug": Reason(TRANSIENT, PERMANENTLY, "It is debug output.", UNLESS, NOBODY),
    "installation-local": Reason(TRANSIENT, PERMANENTLY, "It fits one installation only.", UNLESS, NOBODY),
    "pull-request": Reason(
        TRANSIENT, PERMANENTLY, "A pull request started the run: it shows a proposal.", "Merge it.", OUTPUT
    ),
    "fork": Reason(TRANSIENT, PERMANENTLY, "It was started from a fork: it shows a proposal.", "Merge it.", OUTPUT),
    "other-ref": Reason(
        TRANSIENT, PERMANENTLY, "It was built from a ref whose builds may not go on.", "Merge or tag it.", OUTPUT
    ),
    "trigger-claim-untrusted": Reason(
        TRANSIENT, TEMPORARILY, "Only the job itself says what started it.", TRUST, BUILDER
    ),
    # use_is_intended
    "acceleration-only": Reason(USE, PERMANENTLY, "It is there to accelerate CI.", "Nothing.", NOBODY),
    "internal-use": Reason(
        USE, PERMANENTLY, "The catalogue means it for internal use.", "Another `audience`.", CATALOGUE
    ),
    "use-undecided": Reason(
        USE, APPROVAL, "Nobody has decided for whom it is meant.", "Give it an `audience`.", CATALOGUE
    ),
    "consumption-undocumented": Reason(
        USE, TEMPORARILY, "Nothing says how it is consumed.", "Say so under `consumption`.", CATALOGUE
    ),
    # receipt_is_authentic
    "receipt-missing": Reason(AUTHENTIC, CANNOT, "No receipt of the build is in evidence.", "Emit one.", "the builder"),
    "receipt-from-the-future": Reason(
        AUTHENTIC, TEMPORARILY, "The run says that it finished later than now.", "Mend the builder's clock.", BUILDER
    ),
    "receipt-unsigned": Reason(AUTHENTIC, TEMPORARILY, "The receipt carries no signature.", REPEAT, BUILDER),
    "signature-invalid": Reason(
        AUTHENTIC, TEMPORARILY, "A signature by a catalogued key does not verify.", REPEAT, BUILDER
    ),
    "key-untrusted": Reason(
        AUTHENTIC,
        TEMPORARILY,
        "Only signers signed it that the catalogue does not hold.",
        f"{REPEAT} If the signer is right, add it under `keys`.",
        LABELS,
    ),
    "key-not-for-builder": Reason(AUTHENTIC, TEMPORARILY, "The key may not speak for this builder.", REPEAT, BUILDER),
    "key-not-for-repository": Reason(
        AUTHENTIC, TEMPORARILY, "The key may not speak for this source repository.", REPEAT, BUILDER
    ),
    "key-not-valid-then": Reason(
        AUTHENTIC,
        TEMPORARILY,
        "The key was not valid when the run finished, or, where a forge vouches for the run, when its receipt arrived.",
        REPEAT,
        BUILDER,
    ),
    "key-not-for-receipts": Reason(
        AUTHENTIC, TEMPORARILY, "The catalogue holds the key for images, not for receipts.", REPEAT, BUILDER
    ),
    "origin-contradicts-receipt": Reason(
        AUTHENTIC,
        TEMPORARILY,
        "The certificate of its keyless signer names another repository or revision than the receipt.",
        f"{REPEAT} The run's own revision must be the one that is built.",
        BUILDER,
    ),
    "certificate-of-another-run": Reason(
        AUTHENTIC,
        TEMPORARILY,
        "The certificate of its keyless signer was issued to another run, or attempt, than the receipt names.",
        REPEAT,
        BUILDER,
    ),
    "receipts-conflict": Reason(
        AUTHENTIC,
        PERMANENTLY,
        "Two authentic receipts of the same run say different things.",
        f"{ANEW} Find out who signed the second receipt.",
        BUILDER,
    ),
    # not_withdrawn
    "withdrawn": Reason(
        WITHDRAWN,
        PERMANENTLY,
        "Somebody who may withdrew this digest: it never passes again, under no build.",
        "Build another revision.",
        OUTPUT,
    ),
    "built-from-withdrawn": Reason(
        WITHDRAWN,
        PERMANENTLY,
        "What was withdrawn is in it, or in something that it is built from.",
        "Build another revision.",
        OUTPUT,
    ),
    "quarantined": Reason(
        WITHDRAWN,
        PERMANENTLY,
        "Its signer, or its run, is said to be compromised.",
        "Build it again with a signer and a run that nobody doubts; or whoever may quarantine revokes that.",
        BUILDER,
    ),
    "built-from-quarantined": Reason(
        WITHDRAWN,
        PERMANENTLY,
        "The signer, or the run, of something that it is built from is said to be compromised.",
        "Build that again, and then this; or whoever may quarantine revokes that.",
        BUILDER,
    ),
    # forge_vouches_for_the_run
    "platform-run-unseen": Reason(
        FORGE, WAITING, "The forge was not heard yet about how the run ended.", "It is asked at every tick.", NOBODY
    ),
    "platform-run-absent": Reason(
        FORGE,
        PERMANENTLY,
        "The forge has no such attempt of such a run: it said so twice, some minutes apart.",
        f"{ANEW} Find out who signed a receipt of a run that is not there.",
        BUILDER,
    ),
    "event-not-catalogued": Reason(
        FORGE,
        TEMPORARILY,
        "An event started the run that is no push, tag, schedule or start by hand, and the catalogue does not name it.",
        "Build in another way, or name the event under `events` of the source.",
        CATALOGUE,
    ),
    "job-unnamed": Reason(
        FORGE,
        TEMPORARILY,
        "Jobs of the run were on other machines too, and the receipt does not say which job is its own.",
        "Let `flywheel receipt` name the job (`--runner`, `--job`), and build again.",
        BUILDER,
    ),
    "platform-run-failed": Reason(
        FORGE,
        TEMPORARILY,
        "The receipt's job, or where it names none the run, failed or was cancelled.",
        "Mend it and build again.",
        BUILDER,
    ),
    "receipt-contradicts-platform": Reason(
        FORGE,
        PERMANENTLY,
        "Receipt and forge differ about the run: its revision, ref, event, fork, actor, times, job or runner label.",
        f"{ANEW} Find out who signed the receipt.",
        BUILDER,
    ),
    "provenance-contradicts-receipt": Reason(
        FORGE,
        PERMANENTLY,
        "The build provenance that the run's own workflow attests names another revision or ref than the receipt.",
        f"{ANEW} Find out who signed the receipt.",
        BUILDER,
    ),
    # toolchain_bootstrap_was_proven
    "bootstrap-unproven": Reason(
        BOOTSTRAP,
        TEMPORARILY,
        "Neither the receipt nor the forge's steps show that the lane installed and verified its toolchain; or the "
        "steps of a catalogued workflow do not, whatever the receipt says.",
        "Build again: the workflow installs it before anything else and passes the proof to `flywheel receipt`.",
        BUILDER,
    ),
    "bootstrap-claim-untrusted": Reason(
        BOOTSTRAP, TEMPORARILY, "Only the job itself tells of the bootstrap.", TRUST, BUILDER
    ),
    "bootstrap-outside-run": Reason(
        BOOTSTRAP,
        PERMANENTLY,
        "The bootstrap finished before the run started or after it finished.",
        "Build again with the bootstrap as the first step of the same job.",
        BUILDER,
    ),
    # builder_is_known
    "builder-unknown": Reason(
        KNOWN, TEMPORARILY, "The builder's label is not catalogued.", "Add it under `builders`.", CATALOGUE
    ),
    "wrong-artifact-type": Reason(
        KNOWN,
        PERMANENTLY,
        "The receipt is about another type of artifact than the catalogue says.",
        "Emit the receipt for the output that was really built.",
        BUILDER,
    ),
    "builder-does-not-make-this": Reason(
        KNOWN,
        PERMANENTLY,
        "The builder is not catalogued for this type.",
        "Build on another lane.",
        BUILDER,
    ),
    # rebuild_agrees
    "builders-disagree": Reason(
        REBUILD,
        PERMANENTLY,
        "Another authentic run got other content from the same revision.",
        "Make the build reproducible, then build a new revision.",
        OUTPUT,
    ),
    "digest-disputed": Reason(
        REBUILD,
        PERMANENTLY,
        "Builders once got this and other content from one revision: it stays rejected, whoever builds it again.",
        "Make the build reproducible, then build a new revision.",
        OUTPUT,
    ),
    "second-opinion": Reason(
        REBUILD,
        PERMANENTLY,
        "The rebuilder built it to speak for other builds of its revision; it is not promoted itself.",
        "Nothing: those builds are judged on their own.",
        CATALOGUE,
    ),
    "second-builder-missing": Reason(
        REBUILD,
        WAITING,
        "Fewer independent builders than the catalogue asks for got this content so far.",
        "Wait for, or start, a build of the same revision on another builder.",
        BUILDER,
    ),
    # closure_is_complete and whole_body_matches_digest
    "reference-not-in-receipt": Reason(
        CLOSURE, PERMANENTLY, "The cache's index gives a member a reference that nobody signed.", INVESTIGATE, CACHE
    ),
    "member-missing": Reason(
        CLOSURE, TEMPORARILY, "A path, manifest, layer or blob is not in the cache, or was not read.", REFILL, CACHE
    ),
    "member-not-vouched-for": Reason(
        CLOSURE,
        PERMANENTLY,
        "A member is neither in the receipt nor signed by a trusted upstream.",
        "List it in the receipt, or trust the upstream's key.",
        BUILDER,
    ),
    "body-not-read": Reason(
        f"{CLOSURE}, {BODY}",
        (CANNOT, TEMPORARILY),
        "Nothing was read yet; or it was tried, and no body could be read.",
        "Materialize the cache entry; or push it to the cache again.",
        f"{NOBODY}: the sensor requests it; or {CACHE}",
    ),
    "body-differs": Reason(
        BODY, PERMANENTLY, "What was read has another digest or size than the receipt says.", INVESTIGATE, CACHE
    ),
    "index-differs": Reason(BODY, PERMANENTLY, "The cache's own index contradicts the receipt.", INVESTIGATE, CACHE),
    "body-empty": Reason(BODY, TEMPORARILY, "A body reads back as zero bytes.", REFILL, CACHE),
    "body-truncated": Reason(BODY, TEMPORARILY, "A body ends before its declared size.", REFILL, CACHE),
    "body-undecodable": Reason(BODY, TEMPORARILY, "A body cannot be decompressed.", REFILL, CACHE),
    "index-malformed": Reason(BODY, TEMPORARILY, "An index entry of the cache cannot be used.", REFILL, CACHE),
    "body-too-large": Reason(BODY, PERMANENTLY, "A body is larger than declared or allowed.", INVESTIGATE, CACHE),
    "cache-unreadable": Reason(BODY, CANNOT, "The cache failed while it was read.", "Mend the cache.", CACHE),
    "cache-unauthorised": Reason(BODY, CANNOT, "The cache refused the reader.", "Give it a credential.", CACHE),
    "cache-rate-limited": Reason(BODY, CANNOT, "The cache asks its readers to wait.", "No action needed.", CACHE),
    # validation_is_green
    "validation-failed": Reason(
        GREEN,
        PERMANENTLY,
        "Someone who may speak for the run says that a validation failed.",
        "Mend what failed and build again.",
        OUTPUT,
    ),
    "validation-claim-untrusted": Reason(
        GREEN, TEMPORARILY, "Only the job itself says that the validation passed.", TRUST, BUILDER
    ),
    "validation-missing": Reason(
        GREEN, WAITING, "No result of a validation is in evidence.", "Its result arrives, or it is run.", OUTPUT
    ),
    # source_can_be_reidentified
    "other-repository": Reason(
        SOURCE,
        PERMANENTLY,
        "It was built from another repository than the catalogue says.",
        "Build it from its own repository, or correct the catalogue.",
        CATALOGUE,
    ),
    "tree-dirty": Reason(SOURCE, PERMANENTLY, "What was built is in no revision.", CLEAN, BUILDER),
    "inputs-not-locked": Reason(SOURCE, PERMANENTLY, "A derivation names no locked input.", CLEAN, BUILDER),
    "other-definition": Reason(
        SOURCE,
        PERMANENTLY,
        "The receipt names another build definition than the catalogue, or none.",
        "Emit it under the output that was really built.",
        BUILDER,
    ),
    "commit-after-build": Reason(
        SOURCE, PERMANENTLY, "The commit is said to be younger than the build of it.", "Mend the clocks.", BUILDER
    ),
    "source-claim-untrusted": Reason(
        SOURCE, TEMPORARILY, "Only the job itself says what it was built from.", TRUST, BUILDER
    ),
    "dependency-unresolved": Reason(
        SOURCE,
        WAITING,
        "No authentic receipt knows the digest that it names of an output that goes into it.",
        "Wait for that receipt.",
        BUILDER,
    ),
    "dependency-unnamed": Reason(
        SOURCE,
        PERMANENTLY,
        "An output that goes into it is not named by digest.",
        "Build again, and name the dependency by store path and NAR hash.",
        BUILDER,
    ),
    # source_order_is_kept
    "order-unknown": Reason(
        ORDER,
        CANNOT,
        "Another build is published, and one of the two does not say when its source was committed.",
        "Build again with a receipt that has the commit's time.",
        BUILDER,
    ),
    "older-than-channel": Reason(
        ORDER, APPROVAL, "A build of newer source is published.", "An approval that accepts it.", OUTPUT
    ),
    # release_authority_holds
    "not-the-authority": Reason(
        AUTHORITY,
        PERMANENTLY,
        "Its product is released through another output.",
        "Declare a change of authority, with its gates.",
        "owner of the authority",
    ),
    "authority-gates-unmet": Reason(
        AUTHORITY,
        WAITING,
        "A change of authority to it is declared, and not every gate is met.",
        "Each gate: its validations pass, one of its people signs that it is met, or its document is named.",
        "whoever can meet the gate, which the message names",
    ),
    "canonical-undeclared": Reason(
        AUTHORITY,
        TEMPORARILY,
        "Its product goes out through several outputs, and none is declared the canonical source.",
        "Name one under `canonical`.",
        "owner of the authority",
    ),
    "canonical-unpublished": Reason(
        AUTHORITY,
        WAITING,
        "It is published beside a canonical source, of which no build from this revision is published.",
        "That one is published.",
        "owner of the canonical output",
    ),
    # durable_surface_exists
    "no-durable-surface": Reason(
        SURFACE,
        PERMANENTLY,
        "The catalogue names no durable surface for it.",
        "Name one in `publication`.",
        CATALOGUE,
    ),
    "no-version-tag": Reason(
        SURFACE,
        PERMANENTLY,
        "Its flake takes its versions from tags, and it was not built from a tag such as v1.2.3.",
        "Push such a tag: its build is released under that version.",
        OUTPUT,
    ),
    "disclosure-undecided": Reason(
        SURFACE,
        APPROVAL,
        "Its source is not public and the surface is.",
        "Write down who decided it, and why, under `publication.disclosure`.",
        CATALOGUE,
    ),
    # approvals_are_given
    "approval-missing": Reason(
        GIVEN,
        APPROVAL,
        "Fewer people than the catalogue asks for approved it: unexpired, not revoked, for this digest and surface.",
        "`flywheel approve`, by people whom the message names.",
        "the people who may",
    ),
    "too-few-may-approve": Reason(
        GIVEN,
        APPROVAL,
        "Fewer people are left who may approve it than must: nobody approves what they triggered.",
        "Name more people under `publication.approvals.by`, or build it in a run that others start.",
        CATALOGUE,
    ),
    # not_held
    "held": Reason(
        HELD,
        WAITING,
        "Somebody who may holds this output, its builder, or everything.",
        "The hold is revoked, or its time is over.",
        "who holds it",
    ),
    # ownership_is_documented
    "builder-path-unowned": Reason(
        OWNERSHIP, TEMPORARILY, "Nobody is catalogued as owner of the builder.", "Add it with its owner.", CATALOGUE
    ),
    "cleanness-undocumented": Reason(
        OWNERSHIP, TEMPORARILY, "Nothing says why it may stay published.", "Say so under `clean_because`.", CATALOGUE
    ),
    # the gate itself
    "evidence-damaged": Reason(
        WHOLE,
        CANNOT,
        "Evidence that a log names cannot be read: it may have been evidence against the artifact.",
        "Restore the evidence store from its backup.",
        "whoever runs the evidence store",
    ),
    "no-rules": Reason(
        WHOLE,
        CANNOT,
        "The gate has no rules, and that is no approval.",
        "A gate with rules.",
        "whoever changed it",
    ),
}

HEAD = """# Reasons

Every reason code that the gate gives. A verdict is named after its worst finding. The codes are
stable: scripts may compare them. A rule that passes by an exception of the catalogue keeps the code
of what is excepted, and its finding names the exception.

| reason | rule | verdict | what it means | what would change it | who acts |
| --- | --- | --- | --- | --- | --- |
"""


OF_ROWS: dict[str, Reason] = {
    "promotion-on-demand": Reason(
        "", PASSED, "It is promoted when somebody asks for it.", "Ask.", "a release engineer"
    ),
    "publication-failed": Reason(
        "",
        PASSED,
        "Its last publication failed, since the time and with the error that the message names.",
        "Mend what the error says: `flywheel promote` tries again; of what is promoted automatically, so do "
        "`flywheel run` and the daily reconciliation.",
        OUTPUT,
    ),
    "not-published-by-its-workflow-yet": Reason(
        "",
        PASSED,
        "Its own workflow publishes it, and it is not on the surface yet.",
        "Let the workflow publish it; it is looked for again as after a failure.",
        OUTPUT,
    ),
    "newer-build-goes-first": Reason(
        "",
        PASSED,
        "The publication of a build of newer source failed and is still to be made: none older goes out before it.",
        "Mend what keeps that build, which the message names.",
        OUTPUT,
    ),
    "another-build-goes-first": Reason(
        "",
        PASSED,
        "Its workflow is asked for one build at a time, and another build is on its way.",
        "Wait for it, or cancel its run.",
        OUTPUT,
    ),
    "workflow-requested": Reason(
        "",
        PASSED,
        "Its publishing workflow was asked for, and the forge does not show the run yet, or gave no clear answer.",
        "It is looked for at every tick and never asked for twice; after six looks in vain, ten minutes apart, it "
        "counts as failed.",
        "nobody, for an hour",
    ),
    "workflow-refused": Reason(
        "",
        PASSED,
        "The forge did not take the request for its publishing workflow.",
        "Mend what the message says; then it is asked for again.",
        OUTPUT,
    ),
    "workflow-dispatched": Reason(
        "",
        PASSED,
        "The forge has taken the request and named the run.",
        "It is looked at at every tick.",
        "the publishing workflow",
    ),
    "workflow-running": Reason(
        "", PASSED, "The run of its publishing workflow goes on.", "It ends.", "the publishing workflow"
    ),
    "workflow-stopping": Reason(
        "",
        PASSED,
        "The run goes on, and the forge is asked to cancel it: the gate let the build out no more when it was looked "
        "at.",
        "It ends, or is cancelled by hand. If it has released before that, the release is public, and is to be yanked.",
        "the publishing workflow",
    ),
    "workflow-failed": Reason(
        "",
        PASSED,
        "The run ended without success, or was never seen, or left no release within an hour; maybe on behalf of "
        "another build of the same revision.",
        "Mend what the run says; then have that run run again, or `flywheel promote`, or materializing it in the UI, "
        "asks for another.",
        OUTPUT,
    ),
    "release-awaited": Reason(
        "",
        PASSED,
        "The run succeeded, or the release is there without one that did; it does not read back yet.",
        "It is looked for at every tick; after six looks in vain, ten minutes apart, it counts as failed.",
        "nobody, for an hour",
    ),
    "released-otherwise": Reason(
        "",
        PASSED,
        "The release has another revision or store path than what was approved.",
        "Find out who released it. Nobody should use that version: yank it, and release under another.",
        "owner of the surface",
    ),
    "release-not-recorded-yet": Reason(
        "",
        PASSED,
        "It has the approved revision, and store path where one is told; the closure is still to be read back.",
        "It is read back by the next run, whose failure the UI shows.",
        "nobody",
    ),
    "release-yanked": Reason(
        "",
        PASSED,
        "The release was yanked, or six looks within an hour or more did not show it.",
        "Release under another version, unless it was meant.",
        OUTPUT,
    ),
}
ROWS_HEAD = """
## Of builds that pass every rule and are not published

These stand in the rows of `flywheel report` and `flywheel why-not`; the gate gives none of them.

| reason | verdict | what it means | what would change it | who acts |
| --- | --- | --- | --- | --- |
"""


def row_of_report(code: str) -> str:
    """The row of a code that no rule gives."""
    reason = OF_ROWS[code]
    return f"| `{code}` | {PASSED.value} | {reason.meaning} | {reason.change} | {reason.actor} |\n"


def row(code: str) -> str:
    """The row of one code."""
    reason = REASONS[code]
    verdicts = ", ".join(verdict.value for verdict in VerdictClass if verdict in reason.verdicts)
    return f"| `{code}` | {reason.rules} | {verdicts} | {reason.meaning} | {reason.change} | {reason.actor} |\n"


def render() -> str:
    """The whole of docs/reasons.md."""
    return HEAD + "".join(row(code) for code in REASONS) + ROWS_HEAD + "".join(map(row_of_report, OF_ROWS))


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
