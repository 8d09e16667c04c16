"""A builder of one's own: real Git and Nix, `flywheel receipt`, an overlay, `flywheel run`, `flywheel verify`.

What README says under "Emit a receipt" and "Add an output", in the same order.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

pytestmark = [pytest.mark.peer("nix"), pytest.mark.timeout(300)]

FLYWHEEL = Path(sys.executable).parent / "flywheel"
CI = Path(__file__).parents[2] / "ci"
REPOSITORY = "https://github.com/example-org/lamp"
NIX_CONF = """experimental-features = nix-command flakes
sandbox = false
substituters =
build-users-group =
flake-registry =
sandbox-paths = /bin /usr /lib /lib64
"""
FLAKE = """{
  outputs = { self }: {
    packages.x86_64-linux.lamp = derivation {
      name = "lamp-1.0"; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/bin:/usr/bin";
      args = [ "-c" "mkdir $out; echo light > $out/lamp" ];
    };
  };
}
"""
CATALOGUE = """version: 1
name: example
policy_uri: https://example.org/policy
verifier_uri: https://example.org/flywheel
owners: {lamps: {name: Lamp makers, contact: "team:lamps"}}
repositories: {"https://github.com/example-org/lamp": {visibility: public}}
builders:
  example-nix:
    class: nix
    level: additive-canary
    owner: lamps
    makes: [nix]
    must_prove_bootstrap_for: [nix]
    trusted_claims: [source, trigger, bootstrap, validation]
surfaces:
  cache: {role: mutable, protocol: nix, url: "file:cache", owner: lamps}
  durable: {role: durable, protocol: nix, url: "file:durable", owner: lamps, visibility: public, retention: never,
    authority: true}
keys:
  example-nix:
    public_key_file: builder.pub
    builders: [example-nix]
    repositories: ["https://github.com/example-org/lamp"]
outputs:
  lamp:
    type: nix
    definition: packages.x86_64-linux.lamp
    role: package
    audience: user-facing
    consumption: See the README.
    owner: lamps
    clean_because: Built from its own source.
    repository: https://github.com/example-org/lamp
    cache: cache
    validations: [nix build]
    publication: {surface: durable, way: copies, promotion: automatic}
"""


@dataclass
class Builder:
    """A machine with a checkout, a Nix store and a key."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder / "checkout",
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + (done.stderr if code else "")


@pytest.fixture
def builder(tmp_path: Path, peer_path: Callable[[str], Path]) -> Builder:
    for name in ("checkout", "nix-home", "etc", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc" / "nix.conf").write_text(NIX_CONF, encoding="utf-8")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "builder.pem").write_bytes(pem)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "builder.pub").write_bytes(public)
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE, encoding="utf-8")
    made = Builder(
        tmp_path,
        {
            "PATH": f"{peer_path('nix').parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path / "nix-home"),
            "NIX_CONF_DIR": str(tmp_path / "etc"),
            "NIX_REMOTE": str(tmp_path / "store"),
            "FLYWHEEL_HOME": str(tmp_path / "home"),
            "FLYWHEEL_CATALOGUE": str(tmp_path / "catalogue.yaml"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_DATE": "2026-05-01T10:00:00Z",
            "GIT_COMMITTER_DATE": "2026-05-01T10:00:00Z",
        },
    )
    checkout = tmp_path / "checkout"
    (checkout / "flake.nix").write_text(FLAKE, encoding="utf-8")
    (checkout / "flake.lock").write_text('{"nodes":{"root":{}},"root":"root","version":7}\n', encoding="utf-8")
    made.run("git", "init", "-q", "-b", "main")
    made.run("git", "remote", "add", "origin", "git@github.com:example-org/lamp.git")
    made.run("git", "add", ".")
    made.run("git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "light")
    return made


def emit(builder: Builder, store_path: str, *more: str, run: str = "501", code: int = 0) -> str:
    return builder.run(
        FLYWHEEL, "receipt", "nix", store_path,
        *("--output", "lamp", "--builder", "example-nix", "--definition", "packages.x86_64-linux.lamp"),
        *("--run", run, "--event", "push", "--actor", "ada", "--lock", "flake.lock"),
        *("--started", "2026-05-01T10:05:00Z", "--finished", "2026-05-01T10:09:00Z"),
        *("--bootstrap", "tool=nix,version=2.24.10,by=determinate-nix-action,at=2026-05-01T10:06:00Z"),
        *("--validation", "nix build=PASSED", "--key", str(builder.folder / "builder.pem")),
        *("--to", str(builder.folder / "home" / "inbox")),
        *more,
        code=code,
    )  # fmt: skip


def built(builder: Builder) -> str:
    system = ("--system", "x86_64-linux")
    out = builder.run("nix", "build", *system, f"path:{builder.folder}/checkout#packages.x86_64-linux.lamp",
                      "--no-link", "--json")  # fmt: skip
    path: str = json.loads(out)[0]["outputs"]["out"]
    builder.run("nix", "copy", "--to", f"file://{builder.folder}/home/cache?compression=zstd", path)
    return path


def rows(builder: Builder) -> dict[str, dict[str, str]]:
    document = json.loads(builder.run(FLYWHEEL, "report", "--json"))
    return {row["build"]: row for row in document["builds"]}


def test_a_real_build_with_a_receipt_of_its_own_is_published_and_verifies(builder: Builder) -> None:
    (builder.folder / "home" / "inbox").mkdir(parents=True)
    path = built(builder)
    emit(builder, path)
    builder.run(FLYWHEEL, "run", "--no-ui")
    row = rows(builder)["501.1.x86_64-linux"]
    assert (row["state"], row["verdict"], row["reason"]) == ("published", "passed", "every-rule-holds")
    proved = builder.run(FLYWHEEL, "verify", row["published_at"], "--key", builder.folder / "home/keys/release.pub")
    assert path in proved
    assert f"source: {REPOSITORY}@" in proved


def test_the_documented_command_without_a_start_makes_a_receipt_that_passes(builder: Builder) -> None:
    (builder.folder / "home" / "inbox").mkdir(parents=True)
    path = built(builder)
    now = datetime.now(UTC) - timedelta(minutes=2)
    builder.run(
        FLYWHEEL, "receipt", "nix", path,
        *("--output", "lamp", "--builder", "example-nix", "--definition", "packages.x86_64-linux.lamp"),
        *("--lock", "flake.lock", "--validation", "nix build=PASSED"),
        *("--bootstrap", f"tool=nix,version=2.24.10,by=determinate-nix-action,at={now.isoformat()}"),
        *("--run", "503", "--event", "push", "--actor", "ada"),
        *("--key", str(builder.folder / "builder.pem"), "--to", str(builder.folder / "home" / "inbox")),
    )  # fmt: skip
    builder.run(FLYWHEEL, "run", "--no-ui")
    assert rows(builder)["503.1.x86_64-linux"]["state"] == "published"


def test_a_dirty_checkout_is_told_by_git_and_rejected(builder: Builder) -> None:
    (builder.folder / "home" / "inbox").mkdir(parents=True)
    path = built(builder)
    (builder.folder / "checkout" / "new-file").write_text("not committed", encoding="utf-8")
    emit(builder, path, run="502")
    builder.run(FLYWHEEL, "run", "--no-ui")
    row = rows(builder)["502.1.x86_64-linux"]
    assert (row["state"], row["reason"], row["published_at"]) == ("rejected", "tree-dirty", "")


def test_a_receipt_without_a_key_is_refused_with_exit_code_2(builder: Builder) -> None:
    path = built(builder)
    said = builder.run(
        FLYWHEEL, "receipt", "nix", path, "--output", "lamp", "--builder", "example-nix", "--run", "1",
        "--event", "push", "--actor", "ada", code=2,
    )  # fmt: skip
    assert "A receipt must be signed" in said


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--output", "../lamp", "output"),
        ("--run", "5 0", "run"),
        ("--started", "yesterday", "started_at"),
        ("--validation", "nix build=MAYBE", "result"),
        ("--dependency", "lamp=/nix/store/short@sha256:00", "store_path"),
    ],
)
def test_a_wrong_option_is_named_with_exit_code_2(builder: Builder, option: str, value: str, field: str) -> None:
    said = emit(builder, built(builder), option, value, code=2)
    assert field in said


def install_hook(builder: Builder, *lines: str, key: str = "builder.pem") -> None:
    """The hook as docs/receipts.md installs it, with these lines on top of its configuration."""
    folder = builder.folder / "hook"
    folder.mkdir()
    (builder.folder / "home" / "inbox").mkdir(parents=True, exist_ok=True)
    shutil.copy(CI / "nix" / "post-build-hook", folder)
    told = (
        'builder = "example-nix"', 'source = "../checkout"', 'to = "../home/inbox"', f'key = "../{key}"',
        'lock = ["flake.lock"]', *lines, "[outputs.lamp]", 'store-name = "lamp-[0-9]*"',
        'definition = "packages.x86_64-linux.lamp"', 'validation = ["nix build=PASSED"]',
    )  # fmt: skip
    (folder / "receipts.toml").write_text("\n".join(told), encoding="utf-8")
    with (builder.folder / "etc" / "nix.conf").open("a", encoding="utf-8") as configuration:
        configuration.write(f"post-build-hook = {folder / 'post-build-hook'}\n")


def in_a_job(builder: Builder, **variables: str) -> Builder:
    """The same machine, where a forge's job runs."""
    path = f"{FLYWHEEL.parent}:{builder.environment['PATH']}"
    return Builder(builder.folder, {**builder.environment, "PATH": path, **variables})


def bootstrapped() -> str:
    now = datetime.now(UTC) - timedelta(minutes=2)
    return f'bootstrap = "tool=nix,version=2.24.10,by=determinate-nix-action,at={now.isoformat()}"'


JOB = {
    "GITHUB_RUN_ID": "601",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_ACTOR": "ada",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "example-org/lamp",
    "GITHUB_REF": "refs/heads/main",
}


def test_a_real_build_with_the_hook_installed_ends_as_a_publication_without_further_hands(builder: Builder) -> None:
    install_hook(builder, bootstrapped())
    built(in_a_job(builder, **JOB))
    builder.run(FLYWHEEL, "run", "--no-ui")
    row = rows(builder)["601.2.x86_64-linux"]
    assert (row["state"], row["verdict"], row["reason"]) == ("published", "passed", "every-rule-holds")


def test_a_hook_of_a_daemon_takes_the_run_from_the_file_that_the_job_wrote(builder: Builder) -> None:
    install_hook(builder, 'run-file = "run.json"', bootstrapped())
    written = in_a_job(builder, **JOB).run(FLYWHEEL, "receipt", "run")
    (builder.folder / "hook" / "run.json").write_text(written, encoding="utf-8")
    # Git is not asked by the hook: whoever runs a daemon must not run what a job's checkout makes Git run.
    no_git = builder.folder / "no-git"
    no_git.mkdir()
    (no_git / "git").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (no_git / "git").chmod(0o755)
    hook = (builder.folder / "hook" / "post-build-hook").read_text(encoding="utf-8")
    guarded = hook.replace("set -eu\n", f"set -eu\nPATH={no_git}:$PATH\n")
    (builder.folder / "hook" / "post-build-hook").write_text(guarded, encoding="utf-8")
    built(in_a_job(builder))
    builder.run(FLYWHEEL, "run", "--no-ui")
    assert rows(builder)["601.2.x86_64-linux"]["verdict"] == "passed"


def test_a_receipt_that_cannot_be_written_stops_the_build_with_the_reason(builder: Builder) -> None:
    install_hook(builder, bootstrapped(), key="no-such-key.pem")
    said = in_a_job(builder, **JOB).run(
        "nix", "build", "--system", "x86_64-linux", f"path:{builder.folder}/checkout#packages.x86_64-linux.lamp",
        "--no-link", "-L", code=1,
    )  # fmt: skip
    assert "no-such-key.pem" in said
    assert list((builder.folder / "home" / "inbox").iterdir()) == []


def test_a_build_that_the_hook_s_configuration_does_not_name_goes_on_without_a_receipt(builder: Builder) -> None:
    install_hook(builder)
    configuration = builder.folder / "hook" / "receipts.toml"
    configuration.write_text(configuration.read_text("utf-8").replace("lamp-[0-9]*", "torch-*"), encoding="utf-8")
    built(in_a_job(builder))
    assert list((builder.folder / "home" / "inbox").iterdir()) == []
