"""The circumstances of each recorded build: who, when, from which commit. Made up, plausible, and fixed.

What a build made is not here: the real tools say that.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

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
from flywheel_assets.domain.digests import GitRevision, Sha256

HARBOR = "https://github.com/tinyland-inc/harbor-tools"
PLATFORM = "https://github.com/tinyland-inc/GloriousFlywheel"
PASSED, FAILED = ValidationResult.PASSED, ValidationResult.FAILED
NIX_GREEN = {"nix build": PASSED, "nix flake check": PASSED}
IMAGE_GREEN = {"image build": PASSED, "smoke test": PASSED}
FOLDERS = {HARBOR: "harbor-tools", PLATFORM: "GloriousFlywheel"}
"""The folder below sources/ that plays each repository."""


class Fault(StrEnum):
    """What is done to the cache after a build was copied to it."""

    EMPTY_NAR = "the root's NAR is zero bytes behind a valid narinfo"
    OTHER_CONTENT = "the root's NAR was swapped and the narinfo rewritten and signed to match"
    EXTRA_REFERENCE = "the root's narinfo names one more reference, signed"
    MEMBER_GONE = "a closure member's narinfo and NAR are gone"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One build as its receipt will tell it. ``change`` describes the commit and so is its revision."""

    run: str
    output: str
    what: str
    change: str
    committed: datetime
    started: datetime
    minutes: int = 5
    maker: Literal["nix", "bazel", "nix-image", "containerfile"] = "nix"
    repository: str = HARBOR
    builder: str = "tinyland-nix"
    signer: str | None = "tinyland-nix"
    system: str = "x86_64-linux"
    definition: str = ""
    locks: tuple[str, ...] = ("flake.lock",)
    trigger: TriggerEvent = TriggerEvent.PUSH
    actor: str = "ines-arvidsson"
    ref: str = "refs/heads/main"
    dirty: bool = False
    bootstrapped: bool = True
    validations: Mapping[str, ValidationResult] = field(default_factory=lambda: NIX_GREEN)
    release: Mapping[str, object] = field(default_factory=dict)
    image: str = ""
    fault: Fault | None = None
    other_store: bool = False

    @property
    def revision(self) -> GitRevision:
        """A commit that never was, named by what it would have changed."""
        return GitRevision(hashlib.sha1(self.change.encode(), usedforsecurity=False).hexdigest())

    @property
    def file(self) -> str:
        """The receipt's name in the inbox."""
        return f"{self.run}-{self.output}.json"

    def builder_run(self, locks: Mapping[str, Sha256], dependencies: tuple[Dependency, ...]) -> BuilderRun:
        """All that the receipt says beside the artifact."""
        bootstrap = Bootstrap(
            tool="nix",
            installed_by="determinate-nix-action",
            verified_version="2.24.10",
            finished_at=self.started + timedelta(seconds=40 + int(self.run) % 23),
        )
        return BuilderRun(
            key=BuildKey(run=self.run, attempt=1, system=self.system),
            builder=self.builder,
            invocation=f"{self.repository}/actions/runs/{self.run}/attempts/1",
            source=Source(
                repository=self.repository,
                revision=self.revision,
                ref=self.ref,
                dirty=self.dirty,
                committed_at=self.committed,
            ),
            definition=self.definition or f"packages.x86_64-linux.{self.output}",
            locked_inputs=tuple(LockedInput(name=name, digest=locks[name]) for name in self.locks),
            trigger=Trigger(event=self.trigger, actor=self.actor),
            started_at=self.started,
            finished_at=self.started + timedelta(minutes=self.minutes, seconds=int(self.run) % 47),
            bootstrap=bootstrap if self.bootstrapped else None,
            validations=tuple(Validation(name=name, result=result) for name, result in self.validations.items()),
            dependencies=dependencies,
        )


def _on(month: int, day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


TIDE_CLOCK = (
    Case(
        run="14402201001",
        output="tide-clock",
        what="good: two store paths, version 1.4.0",
        change="tide-clock 1.4.0: list the harbours",
        committed=_on(4, 14, 8, 41),
        started=_on(4, 14, 9, 2),
    ),
    Case(
        run="14402201002",
        output="tide-clock",
        what="triggered by a pull request",
        change="tide-clock: try the new tables",
        committed=_on(4, 15, 10, 12),
        started=_on(4, 15, 10, 15),
        trigger=TriggerEvent.PULL_REQUEST,
        actor="teodor-wilk",
        ref="refs/pull/41/merge",
        release={"tide-clock": "1.5.0-pr41"},
    ),
    Case(
        run="14402201003",
        output="tide-clock",
        what="built from a dirty tree",
        change="tide-clock 1.4.1: say which harbour is unknown",
        committed=_on(4, 16, 13, 5),
        started=_on(4, 16, 13, 22),
        dirty=True,
        release={"tide-clock": "1.4.1"},
    ),
    Case(
        run="14402201004",
        output="tide-clock",
        what="no evidence that the toolchain was installed and verified",
        change="tide-clock 1.4.2: shorter help",
        committed=_on(4, 17, 7, 50),
        started=_on(4, 17, 8, 4),
        bootstrapped=False,
        release={"tide-clock": "1.4.2"},
    ),
    Case(
        run="14402201005",
        output="tide-clock",
        what="its validation `nix flake check` failed",
        change="tide-clock 1.4.3: hands for slack water",
        committed=_on(4, 20, 11, 31),
        started=_on(4, 20, 11, 40),
        validations={"nix build": PASSED, "nix flake check": FAILED},
        release={"tide-clock": "1.4.3"},
    ),
    Case(
        run="14402201006",
        output="tide-clock",
        what="good in every way, but an older commit than 14402201001 in a later run",
        change="tide-clock 1.3.0: first tables",
        committed=_on(3, 2, 16, 20),
        started=_on(4, 21, 9, 30),
        release={"tide-clock": "1.3.0"},
    ),
    Case(
        run="14402201007",
        output="tide-clock",
        what="its receipt is not signed",
        change="tide-clock 1.4.4: tidy the tables' names",
        committed=_on(4, 22, 9, 14),
        started=_on(4, 22, 9, 25),
        signer=None,
        release={"tide-clock": "1.4.4"},
    ),
    Case(
        run="14402201008",
        output="tide-clock",
        what="its receipt is signed by a key that nobody knows",
        change="tide-clock 1.4.5: quieter errors",
        committed=_on(4, 23, 14, 2),
        started=_on(4, 23, 14, 11),
        signer="stranger",
        release={"tide-clock": "1.4.5"},
    ),
)

CHART_PLOTTER = (
    Case(
        run="14402201101",
        output="chart-plotter",
        what=Fault.EMPTY_NAR.value,
        change="chart-plotter 2.0.1: shade drying heights",
        committed=_on(4, 15, 8, 30),
        started=_on(4, 15, 8, 47),
        release={"chart-plotter": "2.0.1"},
        fault=Fault.EMPTY_NAR,
    ),
    Case(
        run="14402201102",
        output="chart-plotter",
        what=f"{Fault.OTHER_CONTENT.value}; the receipt still tells the truth",
        change="chart-plotter 2.0.2: align the columns",
        committed=_on(4, 16, 8, 3),
        started=_on(4, 16, 8, 20),
        release={"chart-plotter": "2.0.2"},
        fault=Fault.OTHER_CONTENT,
    ),
    Case(
        run="14402201103",
        output="chart-plotter",
        what=Fault.EXTRA_REFERENCE.value,
        change="chart-plotter 2.0.3: read decimals",
        committed=_on(4, 17, 15, 40),
        started=_on(4, 17, 15, 58),
        release={"chart-plotter": "2.0.3"},
        fault=Fault.EXTRA_REFERENCE,
    ),
    Case(
        run="14402201104",
        output="chart-plotter",
        what=f"{Fault.MEMBER_GONE.value} (libsounding 0.9.4, its own)",
        change="chart-plotter 2.0.4: libsounding 0.9.4",
        committed=_on(4, 20, 9, 9),
        started=_on(4, 20, 9, 18),
        release={"chart-plotter": "2.0.4", "libsounding": "0.9.4"},
        fault=Fault.MEMBER_GONE,
    ),
    Case(
        run="14402201105",
        output="chart-plotter",
        what="one of two builders of one commit: the build is not reproducible, the cache holds this one's NAR",
        change="chart-plotter 2.1.0: say which build it is",
        committed=_on(4, 22, 12, 26),
        started=_on(4, 22, 12, 41),
        release={"chart-plotter": "2.1.0", "stampBuild": True},
    ),
    Case(
        run="14402201106",
        output="chart-plotter",
        what="the other builder of that commit: the same store path with another NAR hash",
        change="chart-plotter 2.1.0: say which build it is",
        committed=_on(4, 22, 12, 26),
        started=_on(4, 22, 13, 7),
        builder="tinyland-dind",
        signer="tinyland-dind",
        release={"chart-plotter": "2.1.0", "stampBuild": True},
        other_store=True,
    ),
)

OTHERS = (
    Case(
        run="14402201201",
        output="tide-clock-image",
        what="good image for linux/amd64, whose layer is the closure of 14402201001",
        change="tide-clock 1.4.0: list the harbours",
        committed=_on(4, 14, 8, 41),
        started=_on(4, 14, 9, 31),
        maker="nix-image",
        system="linux-amd64",
        validations=IMAGE_GREEN,
        image="tinyland-inc/tide-clock",
    ),
    Case(
        run="14402201301",
        output="sounding-line",
        what="good: two store paths",
        change="sounding-line 0.7.2: fathoms with one decimal",
        committed=_on(4, 17, 10, 0),
        started=_on(4, 17, 10, 16),
        actor="teodor-wilk",
    ),
    Case(
        run="14402201401",
        output="depth-charts",
        what="good: one store path",
        change="depth-charts 2026.4: survey of the east channel",
        committed=_on(4, 18, 6, 55),
        started=_on(4, 18, 7, 8),
    ),
    Case(
        run="14402201501",
        output="ci-toolchain",
        what="a good build of something that is for CI only",
        change="ci-toolchain 12: a step for links",
        committed=_on(4, 20, 8, 1),
        started=_on(4, 20, 8, 12),
        actor="teodor-wilk",
    ),
    Case(
        run="14402201601",
        output="lint-results",
        what="a Bazel action for CI only, on a lane without Nix",
        change="lint: each script stops at its first error",
        committed=_on(4, 20, 14, 33),
        started=_on(4, 20, 14, 38),
        minutes=2,
        maker="bazel",
        builder="tinyland-docker",
        signer="tinyland-docker",
        definition="//lint:results",
        locks=("WORKSPACE",),
        bootstrapped=False,
        validations={"bazel test": PASSED},
    ),
    Case(
        run="14402201701",
        output="harbor-map-image",
        what="good image index for linux/amd64 and linux/arm64",
        change="harbor-map: the approaches to Lantern Pier",
        committed=_on(4, 21, 10, 20),
        started=_on(4, 21, 10, 44),
        minutes=9,
        maker="containerfile",
        builder="tinyland-dind",
        signer="tinyland-dind",
        system="multi-platform",
        definition="Containerfile",
        bootstrapped=False,
        validations=IMAGE_GREEN,
        image="tinyland-inc/harbor-map",
    ),
    Case(
        run="14402201801",
        output="default",
        what="an alias of attic-client (a stand-in)",
        change="flake: default is attic-client",
        committed=_on(4, 22, 7, 15),
        started=_on(4, 22, 7, 29),
        repository=PLATFORM,
        actor="runa-castellan",
    ),
    Case(
        run="14402201901",
        output="runner-dashboard",
        what="a good derivation that is an image's input and no public release (a stand-in)",
        change="runner-dashboard 0.1.0: list the runners",
        committed=_on(4, 24, 8, 8),
        started=_on(4, 24, 8, 20),
        minutes=8,
        repository=PLATFORM,
        actor="runa-castellan",
        locks=("flake.lock", "app/pnpm-lock.yaml"),
        validations={"pnpm check": PASSED, "pnpm test": PASSED, "pnpm build": PASSED, "nix build": PASSED},
    ),
    Case(
        run="14402201902",
        output="runner-dashboard-image",
        what="in staging, and already published in ghcr/ by its own workflow with the receipt as a referrer",
        change="runner-dashboard 0.1.0: list the runners",
        committed=_on(4, 24, 8, 8),
        started=_on(4, 24, 8, 51),
        minutes=6,
        maker="containerfile",
        repository=PLATFORM,
        builder="tinyland-dind",
        signer="image-workflow",
        system="linux-amd64",
        definition="app/Dockerfile",
        locks=("app/pnpm-lock.yaml",),
        actor="runa-castellan",
        bootstrapped=False,
        validations={"image build": PASSED},
        image="tinyland-inc/runner-dashboard",
    ),
    Case(
        run="14402202001",
        output="mystery-box",
        what="an output that no catalogue knows",
        change="mystery-box: an experiment",
        committed=_on(4, 25, 18, 47),
        started=_on(4, 25, 18, 52),
        actor="teodor-wilk",
    ),
)

CASES = (*TIDE_CLOCK, *CHART_PLOTTER, *OTHERS)
BY_RUN = {case.run: case for case in CASES}
GOOD_TIDE_CLOCK = BY_RUN["14402201001"]
DASHBOARD_IMAGE = BY_RUN["14402201902"]
TRIVY_FILE = f"{DASHBOARD_IMAGE.run}-trivy-scan.json"
TRUNCATED_FILE = "truncated-receipt.json"
