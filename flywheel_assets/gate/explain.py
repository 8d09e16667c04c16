"""Why not? A verdict as text for people: class, each failed rule, what would change it, who acts."""

from flywheel_assets.domain.verdicts import Finding, Verdict, VerdictClass


def sentence(verdict: Verdict) -> str:
    """One line: the class, the reason and the message of the finding that decides."""
    worst = verdict.worst
    if worst.verdict is VerdictClass.PASSED:
        return f"{verdict.output} {verdict.build}: passed, every rule holds."
    return f"{verdict.output} {verdict.build}: {worst.verdict.value}, {worst.reason}: {worst.message}."


def failed(verdict: Verdict) -> list[Finding]:
    """The findings that are no pass, worst first, in the gate's order among equals."""
    found = [finding for finding in verdict.findings if finding.verdict is not VerdictClass.PASSED]
    return sorted(found, key=lambda finding: -finding.verdict.severity)


def explain(findings: list[Finding]) -> str:
    """Markdown for findings: verdict, reason, what would change it, who acts; plain text in the first line."""
    lines = []
    for finding in findings:
        if finding.verdict is VerdictClass.PASSED:
            lines.append(f"{finding.rule}: passed. {finding.message}.")
        else:
            lines.append(
                f"{finding.rule}: {finding.verdict.value} ({finding.reason}). {finding.message}.\n"
                f"  To change it: {finding.remedy}\n  Who acts: {finding.actor}."
            )
    return "\n\n".join(lines)
