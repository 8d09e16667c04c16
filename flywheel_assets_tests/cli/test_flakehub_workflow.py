"""ci/github/flakehub-publish.yml: what it may do, whom it runs, and that no input is ever code."""

import os
import re
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flywheel_assets.adapters.flakehub.workflow import FlakehubWorkflow
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.catalog.flakes import unlikely
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.domain.dispatches import DispatchState, WorkflowRun
from flywheel_assets.wiring import SAMPLE_CATALOGUE
from flywheel_assets_tests.cli.test_commands import call
from flywheel_assets_tests.flakes import REQUEST, SUMMARY, flake_release

CI = Path(__file__).parents[2] / "ci/github"
TEXT = (CI / "flakehub-publish.yml").read_text(encoding="utf-8")
SCRIPT = (CI / "flakehub-verify").read_text(encoding="utf-8")
PEERS = (CI.parents[1] / "scripts/peers").read_text(encoding="utf-8")
WORKFLOW: dict[str, Any] = YAML(typ="safe", pure=True).load(TEXT)
JOBS: dict[str, Any] = WORKFLOW["jobs"]
STEPS: list[dict[str, Any]] = [step for job in JOBS.values() for step in job["steps"]]
INPUTS = WORKFLOW["on"]["workflow_dispatch"]["inputs"]
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


def step_of(job: str, name: str) -> dict[str, Any]:
    """The step that uses an action, or runs a command, of that name."""
    (found,) = (s for s in JOBS[job]["steps"] if name in s.get("uses", "") or name in s.get("run", ""))
    return dict(found)


def test_only_a_dispatch_starts_it_and_its_run_bears_the_name_of_the_request() -> None:
    assert set(WORKFLOW["on"]) == {"workflow_dispatch"}
    assert "${{ inputs.request }}" in WORKFLOW["run-name"]
    assert list(INPUTS) == ["request", "revision", "version", "attribute", "store_path", "vsa"]
    assert all(declared["required"] is True and declared["description"] for declared in INPUTS.values())


def test_it_may_read_the_source_and_only_the_job_that_publishes_may_show_who_it_is() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "verify": {"contents": "read"},
        "publish": {"contents": "read", "id-token": "write"},
    }
    assert "secrets." not in TEXT


def test_two_runs_for_one_version_wait_for_one_another() -> None:
    named = "flakehub-${{ inputs.version == 'rolling' && inputs.revision || inputs.version }}"
    assert WORKFLOW["concurrency"] == {"group": named, "cancel-in-progress": False}


def test_nothing_is_published_before_it_was_verified() -> None:
    assert JOBS["publish"]["needs"] == "verify"
    assert "if" not in JOBS["publish"]
    assert not [step for step in STEPS if "continue-on-error" in step or "if" in step]
    assert step_of("verify", "flakehub-verify")["run"] == "trusted/.github/flakehub/flakehub-verify source"


def test_every_action_is_pinned_by_its_commit_and_says_its_tag() -> None:
    used = re.findall(r"^ *-? *uses: (.*)$", TEXT, re.MULTILINE)
    assert len(used) == sum("uses" in step for step in STEPS)
    for each in used:
        version = r"v\d+(\.\d+\.\d+)?|main of \d{4}-\d\d-\d\d: .+"
        assert re.fullmatch(rf"[\w-]+/[\w-]+@[0-9a-f]{{40}} # ({version})", each), each


# Of flakehub-push at that commit (action.yaml). GitHub passes over what an action does not know, with a warning alone.
PUSH_COMMIT = "3135d10865f2938b309b1fa8f7941c48fe948de8"
PUSH_INPUTS = {
    *("visibility", "name", "repository", "mirror", "directory", "git-root", "tag", "rev", "rolling-minor", "rolling"),
    *("host", "log-directives", "logger", "github-token", "extra-tags", "extra-labels", "spdx-expression"),
    *("error-on-conflict", "include-output-paths", "my-flake-is-too-big", "source-binary", "source-branch"),
    *("source-pr", "source-revision", "source-tag", "source-url"),
}


def test_the_action_that_publishes_knows_all_that_it_is_given_and_runs_the_program_of_its_own_commit() -> None:
    step = step_of("publish", "flakehub-push")
    assert step["uses"] == f"DeterminateSystems/flakehub-push@{PUSH_COMMIT}"
    assert step["with"]["source-revision"] == PUSH_COMMIT
    assert set(step["with"]) <= PUSH_INPUTS


def test_what_comes_from_another_branch_or_tag_than_the_trusted_one_is_refused_before_anything_else() -> None:
    first = JOBS["verify"]["steps"][0]
    for ref, code in (("refs/heads/main", 0), ("refs/tags/v1.0.0", 1), ("refs/heads/main2", 1), ("", 1)):
        environment = {"PATH": os.environ["PATH"], "TRUSTED_REF": WORKFLOW["env"]["TRUSTED_REF"], "GITHUB_REF": ref}
        assert subprocess.run(["bash", "-c", first["run"]], env=environment, check=False).returncode == code


def test_what_the_actions_and_steps_download_is_pinned_too() -> None:
    push = step_of("publish", "flakehub-push")["with"]
    # The action's default for the branch would win over any revision.
    assert push["source-branch"] == ""
    (verifier,) = re.findall(r"slsa-verifier@(v\d+\.\d+\.\d+)\n", step_of("verify", "go install")["run"])
    assert f'"github.com/slsa-framework/slsa-verifier/v2", "{verifier}"' in PEERS, "tests run another one"


def test_no_expression_is_part_of_a_script() -> None:
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]


def test_the_script_is_given_each_variable_that_it_reads_and_no_input_that_it_believes() -> None:
    env = step_of("verify", "flakehub-verify")["env"]
    assert env == {f"RELEASE_{name.upper()}": f"${{{{ inputs.{name} }}}}" for name in INPUTS if name != "request"}
    body = SCRIPT.partition("set -euo pipefail")[2]
    read = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", body))
    assert read == {*env, *WORKFLOW["env"]} - {"TRUSTED_REF"}
    assert not [value for value in WORKFLOW["env"].values() if "${{" in str(value)]


def test_key_and_verifier_come_from_the_branch_of_the_workflow_and_the_source_is_the_revision() -> None:
    trusted, source = (s["with"] for s in JOBS["verify"]["steps"] if s.get("uses", "").startswith("actions/checkout@"))
    assert (trusted["path"], trusted.get("ref")) == ("trusted", None)
    assert (source["path"], source["ref"], source["fetch-depth"]) == ("source", "${{ inputs.revision }}", 0)
    checkouts = [s["with"] for s in STEPS if s.get("uses", "").startswith("actions/checkout@")]
    assert {each["persist-credentials"] for each in checkouts} == {False}


def test_exactly_what_was_verified_is_pushed() -> None:
    checkout, compared = JOBS["publish"]["steps"][:2]
    assert checkout["with"]["ref"] == compared["env"]["RELEASE_REVISION"] == "${{ inputs.revision }}"
    assert compared["run"] == 'test "$(git rev-parse HEAD)" = "$RELEASE_REVISION"'
    push = step_of("publish", "flakehub-push")["with"]
    assert (push["name"], push["rev"]) == ("${{ env.FLAKE }}", "${{ inputs.revision }}")
    assert push["tag"] == "${{ inputs.version != 'rolling' && format('v{0}', inputs.version) || '' }}"
    assert push["rolling"] == "${{ inputs.version == 'rolling' }}"
    assert (push["include-output-paths"], push["error-on-conflict"]) == (True, True)


def test_every_expression_is_one_of_those_that_are_looked_at_here() -> None:
    known = {*(f"inputs.{name}" for name in INPUTS), "env.FLAKE", "inputs.version == 'rolling'"}
    known.add("inputs.version == 'rolling' && inputs.revision || inputs.version")
    known.add("inputs.version != 'rolling' && format('v{0}', inputs.version) || ''")
    assert set(EXPRESSION.findall(TEXT)) == known


# --- docs/servers.md, "FlakeHub" ---

SECTION = (CI.parents[1] / "docs/servers.md").read_text(encoding="utf-8").partition("\n## FlakeHub\n")[2]
SECTION = SECTION.partition("\n## ")[0]


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_documented_commands_put_everything_where_the_workflow_looks_for_it(tmp_path: Path) -> None:
    repository, keys = tmp_path / "flake", tmp_path / "keys"
    for folder in (repository, keys):
        folder.mkdir()
    (keys / "release.pub").write_text("a key")
    script = f"set -eu\ngit init -q -b main\n{block('sh')}"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FLYWHEEL": str(CI.parents[1]), "KEYS": str(keys)}
    subprocess.run(["bash", "-c", script], cwd=repository, env=environment, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-s"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout
    modes = {line.split("\t")[1]: line.split()[0] for line in listed.splitlines()}
    assert modes == {
        ".github/flakehub/flakehub-verify": "100755",
        ".github/flakehub/release.pub": "100644",
        ".github/workflows/flakehub-publish.yml": "100644",
    }


def test_every_value_that_the_repository_says_of_itself_is_explained() -> None:
    told = re.findall(r"^\| `([A-Z_]+)` \| ", SECTION, re.MULTILINE)
    assert told == list(WORKFLOW["env"])


def test_a_command_prints_all_that_the_repository_says_of_itself(tmp_path: Path) -> None:
    overlay = tmp_path / "flakehub.yaml"
    overlay.write_text(block("yaml"))
    known = ":".join(map(str, (*SAMPLE_CATALOGUE, overlay)))
    code, printed, said = call(tmp_path / "home", "catalog", "workflow", "tide-clock", FLYWHEEL_CATALOGUE=known)
    assert code == 0, said
    env = YAML(typ="safe", pure=True).load(printed)["env"]
    assert set(env) == set(WORKFLOW["env"])
    assert (env["TRUSTED_REF"], env["FLAKE"]) == ("refs/heads/main", "tinyland-inc/harbor-tools")
    assert env["CACHE"] == "s3://releases-nix/cache"
    assert env["CACHE_KEY"] == (tmp_path / "home" / "keys" / "release.nix.pub").read_text().strip()
    code, _, said = call(tmp_path / "home", "catalog", "workflow", "chart-plotter", FLYWHEEL_CATALOGUE=known)
    assert (code, "is no output that a workflow publishes" in " ".join(said.split())) == (2, True)


def test_the_documented_catalogue_is_one(tmp_path: Path) -> None:
    overlay = tmp_path / "flakehub.yaml"
    overlay.write_text(block("yaml"))
    catalogue = load_catalogue([*SAMPLE_CATALOGUE, overlay])
    target = catalogue.outputs["tide-clock"].publication
    assert target is not None
    assert target.flake is not None
    assert (target.surface, target.way.value) == ("flakehub", "triggers")
    forge = catalogue.durable("flakehub").forge
    assert forge is not None
    assert forge.url == "https://api.github.com", "and not the one of the catalogue below it"
    assert (target.flake.workflow, target.flake.binaries) == ("flakehub-publish.yml", "durable-nix")
    assert [told for told in unlikely(catalogue) if "depth-charts" not in told] == [], (
        "of the stand-in's flake it is told"
    )


def test_every_state_on_the_way_is_explained() -> None:
    text = (CI.parents[1] / "docs/how-outputs-move.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z, ]+) \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    named = {state for row in rows for state in row.split(", ")}
    assert {state.value for state in DispatchState} <= named


# --- what the pipeline gives it ---


class Started:
    """The forge's workflows, of which one is started."""

    inputs: Mapping[str, str]

    def start(self, repository: str, workflow: str, ref: str, inputs: Mapping[str, str]) -> WorkflowRun:
        del repository, workflow, ref
        self.inputs = inputs
        return WorkflowRun(id="1", url="https://github.com/octo-org/octo-repo/actions/runs/1")

    def find(self, repository: str, workflow: str, request: str, since: datetime) -> WorkflowRun | None:
        raise NotImplementedError

    def look(self, repository: str, workflow: str, run: str) -> WorkflowRun:
        raise NotImplementedError

    def cancel(self, repository: str, run: str) -> None:
        raise NotImplementedError


def test_the_pipeline_gives_each_input_in_the_shape_that_the_script_takes() -> None:
    # bash's own, so that a shape is read as the script reads it
    script = SCRIPT.replace(" 'store path'", " path")
    shapes = dict(re.findall(r'^shaped "\$RELEASE_(\w+)" (.*) \S+$', script, re.MULTILINE))
    number = re.search(r"^number=.*$", SCRIPT, re.MULTILINE)
    assert number
    for version in ("1.2.3", "1.2.3-rc.1+build", None):
        started = Started()
        FlakehubWorkflow(started, HttpClient("http://127.0.0.1:9")).dispatch(flake_release(version), REQUEST, SUMMARY)
        assert list(started.inputs) == list(INPUTS)
        for name, value in started.inputs.items():
            if name != "request":
                check = f"{number[0]}\nshape={shapes[name.upper()]}\n[[ $1 =~ ^($shape)$ ]]"
                assert subprocess.run(["bash", "-c", check, "", value], check=False).returncode == 0, (name, value)
