"""The reason codes: those in the gate's source, those that tests assert and those that docs/reasons.md explains."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import flywheel_assets.gate
from flywheel_assets.catalog.models import Role
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.gate.evaluate import RULES
from flywheel_assets_tests.gate.cases import KINDS, good
from flywheel_assets_tests.gate.reasons import PAGE, REASONS, render, row
from flywheel_assets_tests.gate.test_properties import BREAKS

GATE = Path(flywheel_assets.gate.__file__).parent
HERE = Path(__file__).parent


# Expressions whose codes are found where they are returned or listed.
_ELSEWHERE = {"why_not_trusted(keys[0], receipt, signatures.origin, attested.arrived_at)", "_NOT_READ[reading.state]"}


class Codes(ast.NodeVisitor):
    """Every code that an answer of one module can carry, with its verdict where that is written beside it."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: set[str] = set()
        self.unclear: list[str] = []
        self.answers = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            for target in node.targets
            if isinstance(target, ast.Name) and getattr(node.value.func, "id", "") == "Answer"
        } | {"answer"}
        self.tree = tree
        self.function: ast.FunctionDef | None = None
        self.visit(tree)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.function = self.function, node
        if node.name == "why_not_trusted":
            self.found |= {code for value in returned(node) for code in constants(value) if code}
        self.generic_visit(node)
        self.function = outer

    def visit_Dict(self, node: ast.Dict) -> None:
        """The table of states that are no reading: (verdict, code, …)."""
        self.found |= {code for v in node.values if isinstance(v, ast.Tuple) for code in constants(v.elts[1])}
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", "")
        if name in self.answers or name == "_undeclared":
            self.reason(node.args[1])
        elif name == "_nothing":
            self.reason(node.args[0])
        for keyword in node.keywords:
            if keyword.arg == "reason" and name == "Finding" and isinstance(keyword.value, ast.Constant):
                self.reason(keyword.value)
        self.generic_visit(node)

    def reason(self, node: ast.expr) -> None:
        """The codes that an expression can be; whatever this cannot tell is unclear, and fails the test."""
        if isinstance(node, ast.Name):
            for assigned in assignments(self.function, node.id) or assignments(self.tree, node.id):
                self.reason(assigned)
            return
        if ast.unparse(node) == "output.role.value":
            self.found |= {role.value for role in Role if role is not Role.PACKAGE}
        elif ast.unparse(node) not in _ELSEWHERE:
            codes = set(constants(node))
            self.found |= codes
            self.unclear += [] if codes else [ast.unparse(node)]


def constants(node: ast.expr) -> Iterator[str]:
    """The texts that an expression of constants can be."""
    if isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def returned(node: ast.FunctionDef) -> Iterator[ast.expr]:
    """The values that a function returns."""
    return (item.value for item in ast.walk(node) if isinstance(item, ast.Return) and item.value is not None)


def assignments(where: ast.FunctionDef | ast.Module | None, name: str) -> list[ast.expr]:
    """What is assigned to a name in a function or a module, through tuples too."""
    found = []
    for node in ast.walk(where) if where else ():
        if isinstance(node, ast.Assign):
            targets = {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            found += [node.value] if name in targets else []
    return found


def codes_of_the_gate() -> set[str]:
    found: set[str] = set()
    for module in sorted(GATE.glob("*.py")):
        codes = Codes(ast.parse(module.read_text("utf-8")))
        assert not codes.unclear, f"{module.name}: cannot tell which codes {codes.unclear} can be"
        found |= codes.found
    return found


def test_the_codes_in_the_gates_source_are_the_ones_that_are_documented() -> None:
    assert codes_of_the_gate() == set(REASONS)


def test_every_code_is_asserted_by_a_test() -> None:
    texts = {
        node.value
        for file in HERE.glob("test_*.py")
        if file.name != Path(__file__).name
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant)
    }
    assert set(REASONS) - texts == set()


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_code_stands_in_the_page_of_reasons(code: str) -> None:
    assert row(code) in PAGE.read_text("utf-8")


def test_the_page_of_reasons_is_the_one_that_is_written_from_here() -> None:
    written = PAGE.read_text("utf-8")
    assert written == render(), "write it anew: python -m flywheel_assets_tests.gate.reasons"


def test_every_reason_names_rules_of_the_gate() -> None:
    names = {rule.__name__ for rule in RULES} | {"every rule", "evidence_is_whole"}
    assert {name for reason in REASONS.values() for name in reason.rules.split(", ")} == names


def test_every_finding_has_a_rule_and_a_verdict_that_its_code_is_documented_with() -> None:
    for kind in KINDS:
        for change in BREAKS.values():
            for finding in change(good(kind)).verdict().findings:
                reason = REASONS[finding.reason]
                assert finding.verdict in reason.verdicts
                assert finding.rule in reason.rules.split(", ") or reason.verdict is VerdictClass.PASSED
