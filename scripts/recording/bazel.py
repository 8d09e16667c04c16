"""Runs one Bazel target against a disk cache and reads its outputs from the execution log."""

import json
from pathlib import Path

from flywheel_assets.domain.artifacts import BazelFile, BazelOutputs
from flywheel_assets.domain.digests import ActionDigest, CasDigest
from recording.tools import RecordingError, output


def built(workspace: Path, label: str, cache: Path, work: Path) -> BazelOutputs:
    """The outputs of ``label``; ``cache`` then holds its one action and nothing else."""
    home = work / "bazel-home"
    home.mkdir()
    log = work / "execution-log.json"
    output(
        "bazel",
        "--batch",
        f"--output_user_root={work / 'bazel-output'}",
        "build",
        "--symlink_prefix=/",
        f"--disk_cache={cache}",
        f"--execution_log_json_file={log}",
        "--spawn_strategy=local",
        "--incompatible_strict_action_env",
        label,
        home=home,
        cwd=workspace,
    )
    spawn = json.loads(log.read_text(encoding="utf-8"))
    # This version's log names no action digest: it is the name of the only entry in the action cache.
    actions = [path.name for path in (cache / "ac").rglob("*") if path.is_file()]
    if len(actions) != 1:
        raise RecordingError(f"{label} should be one action, and the cache holds {len(actions)}")
    return BazelOutputs(
        label=label,
        action=ActionDigest.from_hex(actions[0]),
        files=tuple(
            BazelFile(
                path=made["path"],
                digest=CasDigest.from_hex(made["digest"]["hash"]),
                size=int(made["digest"]["sizeBytes"]),
            )
            for made in spawn["actualOutputs"]
        ),
    )
