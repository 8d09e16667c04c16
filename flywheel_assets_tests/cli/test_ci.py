"""The composite action and the GitLab template under ci/: their shell runs here as a runner would run it."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flywheel_assets.cli.receipts import receipt
from flywheel_assets.domain.builds import TriggerEvent, ValidationResult
from flywheel_assets.domain.receipts import Receipt, read_statement
from flywheel_assets_tests.cli.machine import REPOSITORY, STORE_PATH, Machine

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
}  # fmt: skip
GITHUB = {
    "GITHUB_RUN_ID": "601", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_ACTOR": "ada",
    "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "example-org/lamp", "GITHUB_REF": "refs/heads/main",
    "GITHUB_ACTION_PATH": str(ROOT / "ci" / "github"),
}  # fmt: skip


def act(machine: Machine, *, from_fork: str = "", **inputs: str) -> Path:
    """Run the action's step with these inputs; the folder that it names as its output."""
    known = {f"inputs.{name}": value for name, value in {**INPUTS, **inputs}.items()}
    known["github.event.pull_request.head.repo.fork"] = from_fork
    known["inputs.to"] = EXPRESSION.sub(str(machine.folder), ACTION["inputs"]["to"]["default"])
    told = {name: EXPRESSION.sub(lambda found: known[found[1]], text) for name, text in STEP["env"].items()}
    script, output = machine.folder / "step", machine.folder / "output"
    script.write_text(STEP["run"], encoding="utf-8")
    variables = {**GITHUB, "RUNNER_TEMP": str(machine.folder), "GITHUB_OUTPUT": str(output), **told}
    machine.run("sh", "-e", script, variables=variables)
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


def test_the_action_installs_what_is_locked_and_this_package() -> None:
    package = Path(GITHUB["GITHUB_ACTION_PATH"]) / ".." / ".."
    assert (package / "pyproject.toml").is_file()
    assert '-r "$package/ci/requirements.lock"' in STEP["run"]
    assert (package / "ci" / "requirements.lock").is_file()


def test_the_action_writes_a_signed_receipt(built: Machine) -> None:
    folder = act(built, key=built.key.read_text(encoding="utf-8"))
    made = built.receipt(folder)
    assert made.artifact.name == STORE_PATH
    assert (made.output, made.run.builder, str(made.run.key)[:6]) == ("lamp", "example-nix", "601.2.")
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


def documented() -> list[dict[str, Any]]:
    """What each step of docs/receipts.md that uses the action gives it."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "receipts.md").read_text(encoding="utf-8"), re.DOTALL)
    found = []

    def walk(value: Any) -> None:
        if isinstance(value, dict) and "/ci/github@" in str(value.get("uses")):
            found.append(value["with"])
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(each)

    for block in blocks:
        # GitLab's own tag; what it refers to is of no interest here.
        walk(YAML(typ="safe").load(block.replace("!reference ", "")))
    return found


def test_the_documented_steps_give_inputs_that_the_action_has_and_options_that_the_command_has() -> None:
    required = {name for name, declared in ACTION["inputs"].items() if declared.get("required")}
    assert len(documented()) >= 2
    for given in documented():
        assert required <= set(given) <= set(ACTION["inputs"])
        command = receipt.commands[given["kind"]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {line.partition("=")[0] for line in given["options"].splitlines()} <= known


# --- GitLab ---

TEMPLATE = document("gitlab/receipt.yml")[".flywheel-receipt"]
GITLAB = {
    "CI_PIPELINE_ID": "801", "CI_PIPELINE_URL": "https://gitlab.com/example-org/lamp/-/pipelines/801",
    "CI_PIPELINE_SOURCE": "push", "CI_PROJECT_ID": "1", "CI_PROJECT_URL": REPOSITORY, "CI_COMMIT_BRANCH": "main",
    "GITLAB_USER_LOGIN": "ada", "FLYWHEEL_BUILDER": "example-nix",
    "RECEIPT_ARTIFACT": STORE_PATH, "RECEIPT_OUTPUT": "lamp", "RECEIPT_OPTIONS": OPTIONS,
}  # fmt: skip


def run_job(machine: Machine, **variables: str) -> Path:
    """Run the template's script as a job that extends it would; the folder that becomes the artifact."""
    script = machine.folder / "script"
    script.write_text("\n".join(TEMPLATE["script"]), encoding="utf-8")
    told = {**TEMPLATE["variables"], **GITLAB, **variables}
    machine.run("sh", "-e", script, variables=told)
    (uploaded,) = TEMPLATE["artifacts"]["paths"]
    return machine.folder / "checkout" / str(told[uploaded.removeprefix("$")])


def test_the_template_s_variables_are_those_that_its_script_reads() -> None:
    read = set(re.findall(r"\bRECEIPT_[A-Z]+", "\n".join(TEMPLATE["script"])))
    assert read == {name for name in TEMPLATE["variables"] if name.startswith("RECEIPT_")}


def test_the_template_writes_a_signed_receipt(built: Machine) -> None:
    folder = run_job(built, FLYWHEEL_SIGNING_KEY=built.key.read_text(encoding="utf-8"))
    made = built.receipt(folder)
    assert (made.run.source.repository, made.run.source.ref) == (REPOSITORY, "refs/heads/main")
    assert made.run.invocation == GITLAB["CI_PIPELINE_URL"]
    assert len(made.run.validations) == 2
    # The folder lies in the checkout, and does not make it dirty.
    assert not made.run.source.dirty


def test_the_template_without_a_key_writes_what_cosign_attests_and_tells_a_fork(built: Machine) -> None:
    folder = run_job(built, CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2")
    made = read_statement((folder / "statement.json").read_bytes(), "statement.json")
    assert isinstance(made, Receipt)
    assert made.run.trigger.from_fork
