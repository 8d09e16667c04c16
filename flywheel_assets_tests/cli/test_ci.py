"""The composite action and the GitLab template under ci/: their shell runs here as a runner would run it."""

import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flywheel_assets.cli.receipts import receipt
from flywheel_assets.domain.builds import TriggerEvent, ValidationResult
from flywheel_assets.domain.receipts import Receipt, read_statement
from flywheel_assets_tests.cli.machine import FLYWHEEL, REPOSITORY, STORE_PATH, Machine

ROOT = Path(__file__).parents[2]
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")
OPTIONS = """--lock=flake.lock
--validation=nix build=PASSED
--validation=$(touch /tmp/never) `id` * "quoted"=WARNED
"""


def document(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / "ci" / name).read_text(encoding="utf-8"))


@pytest.fixture
def built(machine: Machine) -> Machine:
    """A machine whose checkout has a lock file, which Git does not look at."""
    checkout = machine.folder / "checkout"
    (checkout / "flake.lock").write_text("{}", encoding="utf-8")
    (checkout / ".git" / "info" / "exclude").write_text("flake.lock\n", encoding="utf-8")
    return machine


# --- GitHub ---

ACTION = document("github/action.yml")
(STEP,) = ACTION["runs"]["steps"]
INPUTS = {
    "kind": "nix", "artifact": STORE_PATH, "output": "lamp", "builder": "example-nix", "options": OPTIONS, "key": "",
    "program": str(FLYWHEEL),
}  # fmt: skip
GITHUB = {
    "GITHUB_RUN_ID": "601", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_ACTOR": "ada",
    "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "example-org/lamp", "GITHUB_REF": "refs/heads/main",
    "RUNNER_NAME": "shelf-3",
}  # fmt: skip


def act(
    machine: Machine, *, from_fork: str = "", code: int = 0, at: Path = ROOT / "ci" / "github", **inputs: str
) -> Path:
    """Run the action's step with these inputs; the folder that it names as its output."""
    to = EXPRESSION.sub(str(machine.folder), ACTION["inputs"]["to"]["default"])
    known = {f"inputs.{name}": value for name, value in {**INPUTS, "to": to, **inputs}.items()}
    known["github.event.pull_request.head.repo.fork"] = from_fork
    told = {name: EXPRESSION.sub(lambda found: known[found[1]], text) for name, text in STEP["env"].items()}
    script, output = machine.folder / "step", machine.folder / "output"
    script.write_text(STEP["run"], encoding="utf-8")
    output.touch()
    ours = {"RUNNER_TEMP": str(machine.folder), "GITHUB_OUTPUT": str(output), "GITHUB_ACTION_PATH": str(at)}
    machine.run("sh", "-e", script, variables={**GITHUB, **ours, **told}, code=code)
    if code:
        assert output.read_text(encoding="utf-8") == ""
        return Path(to)
    name, _, folder = output.read_text(encoding="utf-8").strip().partition("=")
    assert ACTION["outputs"]["folder"]["value"] == f"${{{{ steps.{STEP['id']}.outputs.{name} }}}}"
    return Path(folder)


def test_every_input_of_the_action_is_used_and_every_used_one_is_declared() -> None:
    used = {name for text in STEP["env"].values() for name in EXPRESSION.findall(text)}
    assert {f"inputs.{name}" for name in ACTION["inputs"]} == {name for name in used if name.startswith("inputs.")}
    for name, declared in ACTION["inputs"].items():
        assert declared["description"], name
        assert declared.get("required") is True or "default" in declared, name
    assert (ACTION["runs"]["using"], STEP["shell"]) == ("composite", "sh")


def test_nothing_that_comes_from_outside_is_pasted_into_the_action_s_script() -> None:
    assert "${{" not in STEP["run"]
    assert all(set(step) <= {"id", "shell", "env", "run"} for step in ACTION["runs"]["steps"])


def installing(machine: Machine) -> Path:
    """Let no installation last: its programs only tell what they are called with and see, in the file returned."""
    seen, pip = machine.folder / "seen", machine.folder / "bin" / "pip-of-venv"
    tells = f'#!/bin/sh\n(echo "$0 $*"; env) >>{seen}\n'
    pip.write_text(tells, encoding="utf-8")
    makes = f'mkdir -p "$3/bin"\ncp {pip} "$3/bin/pip"\nln -s {FLYWHEEL} "$3/bin/flywheel"\n'
    (machine.folder / "bin" / "python3").write_text(tells + makes, encoding="utf-8")
    # A program of that name on the PATH is somebody's; with the key it could do what it likes.
    (machine.folder / "bin" / "flywheel").write_text("#!/bin/sh\nexit 77\n", encoding="utf-8")
    for name in ("pip-of-venv", "python3", "flywheel"):
        (machine.folder / "bin" / name).chmod(0o755)
    return seen


def test_the_action_installs_its_own_commit_as_it_is_locked_and_shows_it_no_key(built: Machine) -> None:
    seen = installing(built)
    folder = act(built, program="", key=built.key.read_text(encoding="utf-8"))
    assert built.receipt(folder).output == "lamp"
    told = seen.read_text(encoding="utf-8")
    assert f"install --quiet --require-hashes -r {ROOT}/ci/github/../../ci/requirements.lock" in told
    assert f"install --quiet --no-deps --no-build-isolation {ROOT}/ci/github/../..\n" in told
    assert "PRIVATE KEY" not in told
    assert (ROOT / "ci" / "requirements.lock").is_file()


@pytest.mark.slow
def test_what_the_action_really_installs_writes_a_signed_receipt(built: Machine, tmp_path: Path) -> None:
    package = tmp_path / "action"  # a copy: pip leaves what it builds in the sources
    (package / "ci").mkdir(parents=True)
    for name in ("flywheel_assets", "ci/github"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "ci/requirements.lock"):
        shutil.copy(ROOT / name, package / name)
    (built.folder / "bin" / "flywheel").write_text("#!/bin/sh\nexit 77\n", encoding="utf-8")
    (built.folder / "bin" / "flywheel").chmod(0o755)
    folder = act(built, program="", key=built.key.read_text(encoding="utf-8"), at=package / "ci" / "github")
    assert built.receipt(folder).output == "lamp"


def test_a_folder_whose_name_has_two_lines_names_no_other_output_of_the_action(built: Machine) -> None:
    act(built, to=f"{built.folder}/receipts\nfolder=/elsewhere", code=2)


def test_the_action_writes_a_signed_receipt(built: Machine) -> None:
    folder = act(built, key=built.key.read_text(encoding="utf-8"))
    made = built.receipt(folder)
    assert made.artifact.name == STORE_PATH
    assert (made.output, made.run.builder, str(made.run.key)[:6]) == ("lamp", "example-nix", "601.2.")
    # The forge's API calls the machine the same: by it, the job is found.
    assert (made.run.runner, made.run.job) == ("shelf-3", None)
    assert (made.run.trigger.event, made.run.trigger.from_fork) == (TriggerEvent.MANUAL, False)
    assert [each.name for each in made.run.locked_inputs] == ["flake.lock"]
    assert {each.name: each.result for each in made.run.validations} == {
        "nix build": ValidationResult.PASSED,
        '$(touch /tmp/never) `id` * "quoted"': ValidationResult.WARNED,
    }
    assert not made.run.source.dirty


def test_the_action_without_a_key_writes_what_the_forge_attests(built: Machine) -> None:
    folder = act(built, from_fork="true")
    made = read_statement((folder / "statement.json").read_bytes(), "statement.json")
    assert isinstance(made, Receipt)
    assert made.run.trigger.from_fork
    assert sorted(path.name for path in folder.iterdir()) == ["predicate.json", "statement.json", "subjects.sha256"]


def blocks(name: str) -> list[Any]:
    """What the YAML in a page of the documentation says. What GitLab's own tag refers to is of no interest here."""
    found = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.DOTALL)
    return [YAML(typ="safe").load(block.replace("!reference ", "")) for block in found]


def documented(action: str) -> list[dict[str, Any]]:
    """What each step of docs/receipts.md that uses this action gives it."""
    found = []

    def walk(value: Any) -> None:
        if isinstance(value, dict) and action in str(value.get("uses")):
            found.append(value["with"])
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(each)

    for block in blocks("receipts.md"):
        walk(block)
    return found


def test_the_documented_steps_give_inputs_that_the_action_has_and_options_that_the_command_has() -> None:
    required = {name for name, declared in ACTION["inputs"].items() if declared.get("required")}
    assert len(documented("/ci/github@")) >= 2
    for given in documented("/ci/github@"):
        assert required <= set(given) <= set(ACTION["inputs"])
        command = receipt.commands[given["kind"]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {line.partition("=")[0] for line in given["options"].splitlines()} <= known


def test_what_the_documented_workflows_upload_is_what_the_documented_source_reads() -> None:
    (pattern,) = {
        source["receipt_artifacts"]
        for block in blocks("sources.md")
        for source in block.get("sources", {}).values()
        if "receipt_artifacts" in source
    }
    uploads = documented("actions/upload-artifact@")
    assert len(uploads) >= 3
    for upload in uploads:
        # A second artifact of one name in a run is refused: each job, and each of a matrix, has its own.
        assert {"github.job", "strategy.job-index"} <= set(EXPRESSION.findall(upload["name"]))
        assert fnmatchcase(EXPRESSION.sub("x", upload["name"]), pattern)
        assert upload["if-no-files-found"] == "error", "else a receipt that is not there is lost silently"
    pipelines = [block for block in blocks("receipts.md") if isinstance(block, dict)]
    jobs = [name for block in pipelines for name, job in block.items() if "extends" in job]
    assert jobs
    assert all(fnmatchcase(name, pattern) for name in jobs), "GitLab's artifacts go by the names of their jobs"


# --- GitLab ---

TEMPLATE = document("gitlab/receipt.yml")[".flywheel-receipt"]
GITLAB = {
    "CI_PIPELINE_ID": "801", "CI_PIPELINE_URL": "https://gitlab.com/example-org/lamp/-/pipelines/801",
    "CI_JOB_ID": "9001", "CI_PIPELINE_SOURCE": "push",
    "CI_PROJECT_ID": "1", "CI_PROJECT_URL": REPOSITORY, "CI_COMMIT_BRANCH": "main",
    "GITLAB_USER_LOGIN": "ada", "FLYWHEEL_BUILDER": "example-nix",
    "RECEIPT_ARTIFACT": STORE_PATH, "RECEIPT_OUTPUT": "lamp", "RECEIPT_OPTIONS": OPTIONS,
}  # fmt: skip


def run_job(machine: Machine, code: int = 0, /, **variables: str) -> Path:
    """Run the template's script as a job that extends it would; the folder that becomes the artifact."""
    script = machine.folder / "script"
    script.write_text("\n".join(TEMPLATE["script"]), encoding="utf-8")
    told = {**TEMPLATE["variables"], **GITLAB, **variables}
    machine.run("sh", "-e", script, variables=told, code=code)
    (uploaded,) = TEMPLATE["artifacts"]["paths"]
    return machine.folder / "checkout" / str(told[uploaded.removeprefix("$")])


def test_the_template_s_variables_are_those_that_its_script_reads() -> None:
    read = set(re.findall(r"\b(?:RECEIPT|FLYWHEEL)_[A-Z]+", "\n".join(TEMPLATE["script"])))
    assert read - {"FLYWHEEL_SIGNING"} == set(TEMPLATE["variables"])


def test_the_template_writes_a_signed_receipt(built: Machine) -> None:
    folder = run_job(built, FLYWHEEL_SIGNING_KEY=built.key.read_text(encoding="utf-8"))
    made = built.receipt(folder)
    assert (made.run.source.repository, made.run.source.ref) == (REPOSITORY, "refs/heads/main")
    assert made.run.invocation == GITLAB["CI_PIPELINE_URL"]
    assert (made.run.runner, made.run.job) == (None, "9001")
    assert len(made.run.validations) == 2
    # The folder lies in the checkout, and does not make it dirty.
    assert not made.run.source.dirty


def test_the_template_without_a_key_writes_what_cosign_attests_and_tells_a_fork(built: Machine) -> None:
    folder = run_job(built, CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2")
    made = read_statement((folder / "statement.json").read_bytes(), "statement.json")
    assert isinstance(made, Receipt)
    assert made.run.trigger.from_fork


def test_the_template_installs_the_commit_that_is_named_as_it_is_locked_and_shows_it_no_key(built: Machine) -> None:
    project = built.folder / "project"
    project.mkdir()
    git = ("git", "-C", project, "-c", "user.name=T", "-c", "user.email=t@example.org")
    built.run(*git, "init", "-q", "-b", "main")
    built.run(*git, "commit", "-q", "--allow-empty", "-m", "light")
    commit = built.run(*git, "rev-parse", "HEAD").stdout.strip()
    seen, key = installing(built), built.key.read_text(encoding="utf-8")
    named = {"FLYWHEEL_REPOSITORY": str(project), "FLYWHEEL_SIGNING_KEY": key}
    folder = run_job(built, **named, FLYWHEEL_COMMIT=commit)
    assert not built.receipt(folder).run.source.dirty
    told = seen.read_text(encoding="utf-8")
    assert re.search(r"install --quiet --require-hashes -r \S+/source/ci/requirements.lock\n", told)
    assert re.search(r"install --quiet --no-deps --no-build-isolation \S+/source\n", told)
    assert "PRIVATE KEY" not in told
    seen.unlink()
    run_job(built, 2, **named, FLYWHEEL_COMMIT="main")
    assert not seen.exists(), "a branch may hold something else tomorrow"
