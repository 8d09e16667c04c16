"""ci/github/flakehub-verify, run as its workflow runs it: stock tools on a summary that the pipeline signed."""

import json
import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.domain.digests import GitRevision
from flywheel_assets.domain.publications import FlakeRelease
from flywheel_assets.ports import Signer
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.summaries import VALIDATED
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.promotion.flakes import ATTRIBUTE, FLAKE, released, summary_for
from flywheel_assets_tests.promotion.installation import CLOCK, Installation, a_signer, published

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "ci/github/flakehub-verify"
SOURCES = ROOT / "scripts/recording/sources/harbor-tools"
TOOLS = ("nix", "slsa-verifier", "jq")
SETTINGS = "sandbox = false\nsubstituters =\nbuild-users-group =\nflake-registry =\nrequire-sigs = true\n"
pytestmark = pytest.mark.peer(*TOOLS)


@dataclass(frozen=True)
class Runner:
    """A job of the workflow: two checkouts, the tools, and the environment that the workflow gives the script."""

    folder: Path
    place: Installation
    environment: dict[str, str]

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def store_path(self) -> str:
        return self.environment["RELEASE_STORE_PATH"]

    def git(self, *arguments: str) -> str:
        return git(self.source, *arguments)

    def flake(self, version: str | None = "1.4.0") -> FlakeRelease:
        """What was approved."""
        return released(version, self.environment["RELEASE_REVISION"])

    def vsa(self, flake: FlakeRelease, signer: Signer | None = None, levels: list[str] | None = None) -> bytes:
        """The summary, as a promotion signs it; FAILED without levels."""
        return summary_for(self.place.open(), flake.resource, signer=signer, levels=levels)

    def verify(self, vsa: bytes, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run the script; ``changed`` are variables of its environment."""
        environment = {**self.environment, "RELEASE_VSA": b64encode(vsa).decode(), **changed}
        command = [str(self.folder / "trusted/.github/flakehub/flakehub-verify"), "source"]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=100
        )

    def refusal(self, vsa: bytes, **changed: str) -> str:
        """The last line that the script says; empty when it approves."""
        done = self.verify(vsa, **changed)
        assert (done.returncode == 0) == ("Approved" in done.stdout), done.stderr
        return "" if done.returncode == 0 else done.stderr.splitlines()[-1]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def runner(tmp_path: Path, peer_path: PeerPath) -> Runner:
    """What was recorded is evaluated from its own source, and lies in the durable cache of the sample."""
    place, origin = published().copy(tmp_path / "home"), tmp_path / "origin"
    shutil.copytree(SOURCES, origin)
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "tide-clock 1.4.0")
    git(tmp_path, "clone", "-q", str(origin), "source")
    git(tmp_path / "source", "checkout", "-q", "--detach", "HEAD")
    trusted = tmp_path / "trusted/.github/flakehub"
    for folder in (trusted, tmp_path / "bin", tmp_path / "etc"):
        folder.mkdir(parents=True)
    shutil.copy(SCRIPT, trusted)
    shutil.copy(place.home / "keys/release.pub", trusted)
    for name in TOOLS:
        (tmp_path / "bin" / name).symlink_to(peer_path(name))
    (tmp_path / "etc/nix.conf").write_text(SETTINGS)
    flywheel = place.open()
    return Runner(
        tmp_path,
        place,
        {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "NIX_CONF_DIR": str(tmp_path / "etc"),
            "NIX_REMOTE": str(tmp_path / "store"),
            "FLAKE": FLAKE,
            "VERIFIER": flywheel.catalogue.verifier_uri,
            "POLICY": flywheel.catalogue.policy_uri,
            "CACHE": f"file://{place.home / 'surfaces/durable-nix'}",
            "CACHE_KEY": (place.home / "keys/release.nix.pub").read_text().strip(),
            "RELEASE_REVISION": git(origin, "rev-parse", "HEAD"),
            "RELEASE_VERSION": "1.4.0",
            "RELEASE_ATTRIBUTE": ATTRIBUTE,
            "RELEASE_STORE_PATH": assemble(flywheel, "tide-clock", CLOCK).receipts[0].receipt.artifact.name,
        },
    )


def test_what_the_pipeline_approved_is_approved(runner: Runner) -> None:
    done = runner.verify(runner.vsa(runner.flake()))
    assert done.returncode == 0, done.stderr
    assert runner.store_path in done.stdout
    rolling = runner.flake(None)
    assert runner.verify(runner.vsa(rolling), RELEASE_VERSION="rolling").returncode == 0


def test_no_byte_of_the_summary_may_be_another(runner: Runner) -> None:
    data = runner.vsa(runner.flake())
    payload, signature = data.index(b'"payload":"') + 11, data.index(b'"sig":"') + 7
    for position in (payload + 200, payload + 900, data.index(b'"', payload) - 40, signature + 20):
        changed = b"B" if data[position : position + 1] == b"A" else b"A"
        flipped = data[:position] + changed + data[position + 1 :]
        assert "does not say that this release was approved" in runner.refusal(flipped), position


def test_a_summary_of_another_revision_version_attribute_or_flake_is_refused(runner: Runner) -> None:
    flake = runner.flake()
    others = [
        flake.model_copy(update={"revision": GitRevision("0" * 40)}),
        flake.model_copy(update={"version": "1.4.1"}),
        flake.model_copy(update={"version": None}),
        flake.model_copy(update={"attribute": "packages.x86_64-linux.sounding-line"}),
        flake.model_copy(update={"name": "example-org/other"}),
    ]
    for other in others:
        assert "does not say that this release was approved" in runner.refusal(runner.vsa(other)), other


def test_a_failed_summary_and_one_that_promotes_nothing_are_refused(runner: Runner) -> None:
    for levels in ([], ["SLSA_BUILD_LEVEL_1", VALIDATED]):
        assert "was approved" in runner.refusal(runner.vsa(runner.flake(), levels=levels))


def test_the_key_is_that_of_the_repository_alone(runner: Runner) -> None:
    stranger = a_signer("stranger")
    assert "was approved" in runner.refusal(runner.vsa(runner.flake(), stranger))
    # What is to be released brings no key of its own.
    (runner.source / ".github/flakehub").mkdir(parents=True)
    (runner.source / ".github/flakehub/release.pub").write_text(stranger.public_key)
    runner.git("add", "-A")
    runner.git("commit", "-q", "-m", "believe me")
    runner.git("push", "-q", "origin", "HEAD:refs/heads/mine")
    revision = runner.git("rev-parse", "HEAD")
    flake = runner.flake().model_copy(update={"revision": GitRevision(revision)})
    assert "was approved" in runner.refusal(runner.vsa(flake, stranger), RELEASE_REVISION=revision)
    assert runner.refusal(runner.vsa(flake), RELEASE_REVISION=revision) == ""


def test_another_verifier_and_another_policy_are_refused(runner: Runner) -> None:
    vsa = runner.vsa(runner.flake())
    assert "was approved" in runner.refusal(vsa, VERIFIER="https://example.org/other")
    assert "another policy" in runner.refusal(vsa, POLICY="https://example.org/other")


def test_a_store_path_that_the_cache_does_not_carry_is_refused(runner: Runner) -> None:
    other = runner.store_path.replace("tide-clock-1.4.0", "tide-clock-1.4.1")
    assert "cannot be taken from" in runner.refusal(runner.vsa(runner.flake()), RELEASE_STORE_PATH=other)


def pushed(runner: Runner, flake_nix: str) -> FlakeRelease:
    """Commit another flake to the repository; its release."""
    (runner.source / "flake.nix").write_text(flake_nix)
    runner.git("commit", "-q", "-a", "-m", "another flake")
    runner.git("push", "-q", "origin", "HEAD:refs/heads/other")
    return runner.flake().model_copy(update={"revision": GitRevision(runner.git("rev-parse", "HEAD"))})


def test_an_attribute_that_is_another_store_path_is_refused_though_the_summary_names_it(runner: Runner) -> None:
    text = (runner.source / "flake.nix").read_text()
    flake = pushed(runner, text.replace('"tide-clock" release.tide-clock', '"tide-clock" "9.9.9"'))
    refusal = runner.refusal(runner.vsa(flake), RELEASE_REVISION=str(flake.revision))
    assert "the attribute evaluates to /nix/store/" in refusal
    assert runner.store_path not in refusal


BUILDS = """{ outputs = { self }: { %s.outPath = builtins.readFile (derivation {
  name = "built"; system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" "echo ran > %s; printf %s > $out" ]; }); }; }"""


def test_nothing_of_a_revision_is_built_and_nothing_of_it_evaluated_before_its_summary_holds(runner: Runner) -> None:
    ran = runner.folder / "ran"
    flake = pushed(runner, BUILDS % (ATTRIBUTE, ran, runner.store_path))
    revision = str(flake.revision)
    assert "was approved" in runner.refusal(b"not signed at all", RELEASE_REVISION=revision)
    assert "was approved" in runner.refusal(runner.vsa(flake, a_signer("stranger")), RELEASE_REVISION=revision)
    assert "cannot be evaluated without building" in runner.refusal(runner.vsa(flake), RELEASE_REVISION=revision)
    assert not ran.exists()


def test_another_checkout_is_refused(runner: Runner) -> None:
    vsa = runner.vsa(runner.flake())
    (runner.source / "lying-about").write_text("and going along")
    assert "not clean" in runner.refusal(vsa)
    (runner.source / "lying-about").unlink()
    runner.git("commit", "-q", "--allow-empty", "-m", "nobody's")
    assert "another revision" in runner.refusal(vsa)
    revision = runner.git("rev-parse", "HEAD")
    assert "on no branch or tag" in runner.refusal(vsa, RELEASE_REVISION=revision)


def test_a_cache_that_the_repository_does_not_trust_and_one_without_the_closure_are_refused(runner: Runner) -> None:
    vsa = runner.vsa(runner.flake())
    key = f"flywheel-release-1:{b64encode(bytes(32)).decode()}"
    assert "cannot be taken from" in runner.refusal(vsa, CACHE_KEY=key)
    (runner.folder / "empty").mkdir()
    assert "cannot be taken from" in runner.refusal(vsa, CACHE=f"file://{runner.folder / 'empty'}")


def test_bytes_that_are_not_the_approved_ones_are_refused_though_the_cache_signed_them(runner: Runner) -> None:
    """As where a store path is built again to other contents: what is hashed are the bytes that consumers get."""
    document = json.loads(runner.vsa(runner.flake()))
    statement = json.loads(b64decode(document["payload"]))
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    signer = runner.place.open().release_signer
    other = signer.sign(json.dumps(statement).encode(), document["payloadType"])
    assert "was approved" in runner.refusal(other)


SHAPELESS = (
    ("RELEASE_REVISION", "main"),
    ("RELEASE_REVISION", "--help"),
    ("RELEASE_VERSION", "1.4"),
    ("RELEASE_VERSION", "v1.4.0"),
    ("RELEASE_VERSION", "1.4.0\nrolling"),
    ("RELEASE_ATTRIBUTE", 'a" b'),
    ("RELEASE_ATTRIBUTE", "a#b"),
    ("RELEASE_ATTRIBUTE", "$(touch never)"),
    ("RELEASE_STORE_PATH", "/nix/store/../etc"),
    ("RELEASE_STORE_PATH", "-x"),
    ("RELEASE_VSA", "$(touch never)"),
    ("RELEASE_VSA", ""),
)


def test_what_is_asked_for_in_another_shape_is_refused(runner: Runner) -> None:
    for variable, value in SHAPELESS:
        assert "that was asked for is no" in runner.refusal(b"{}", **{variable: value}), (variable, value)
    assert not (runner.folder / "never").exists()
