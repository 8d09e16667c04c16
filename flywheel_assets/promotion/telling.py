"""One excuse in full, as HTML: its blockers, what it waits for, what is to be done, and every rule."""

from flywheel_assets.promotion.blockers import Blocker
from flywheel_assets.promotion.excuses import Awaited, Call, Excuse, headline
from flywheel_assets.promotion.markup import moment, table, text
from flywheel_assets.promotion.steps import Step


def told(excuse: Excuse) -> str:
    """Everything about one build behind its first line."""
    row = excuse.row
    facts = {
        "verdict": f"{text(row.verdict)} ({text(row.state.value)})",
        "since": moment(excuse.since),
        "published at": f"<code>{text(row.published_at)}</code>" if row.published_at else "",
        "passes on": moment(excuse.passes_at),
        "passes until": moment(excuse.passes_until),
    }
    parts = ["<dl>" + "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in facts.items() if words) + "</dl>"]
    if excuse.steps:
        wanted = "The smallest change" if excuse.call is Call.SOMEBODY else "Only if it is wanted otherwise"
        parts.append(f"<h3>{wanted}</h3><ul>{''.join(_step(each) for each in excuse.steps)}</ul>")
    if excuse.blockers:
        parts.append(f"<h3>What blocks it</h3>{''.join(map(_blocker, excuse.blockers))}")
    elif not row.published_at:
        parts.append(f"<p>{text(row.message)}.</p>")
    if excuse.excepted:
        named = ((each, f"{each.exception} ({each.reason})") for each in excuse.excepted)
        let = "".join(f"<li><strong>{text(name)}</strong>: {text(each.message)}</li>" for each, name in named)
        parts.append(f"<h3>What passes by exception</h3><ul>{let}</ul>")
    if excuse.waits_for:
        parts.append(f"<h3>What it waits for</h3><ul>{''.join(map(_awaited, excuse.waits_for))}</ul>")
    if excuse.findings:
        parts.append(_rules(excuse))
    return "\n".join(parts)


def _step(each: Step) -> str:
    return f"<li><strong>{text(each.people)}</strong>: {text(each.what)}</li>"


def _blocker(blocker: Blocker) -> str:
    until = f" on {moment(blocker.until)}" if blocker.until else ""
    return (
        f'<div class="blocker"><p><strong>{text(blocker.reason)}</strong> <span class="soft">{text(blocker.rule)}, '
        f"{blocker.verdict.value}; ends {blocker.ends.value}{until}</span></p><p>{text(blocker.message)}.</p>"
        f'<p class="soft">To change it: {text(blocker.remedy)}<br>Who acts: {text(blocker.actor)}</p></div>'
    )


def _awaited(awaited: Awaited) -> str:
    excuse = awaited.excuse
    if excuse is None:
        return f"<li><strong>{text(awaited.name)}</strong>: {text(awaited.says)}</li>"
    below = f"<ul>{''.join(map(_awaited, excuse.waits_for))}</ul>" if excuse.waits_for else ""
    return f"<li><strong>{text(awaited.name)}</strong>: {text(headline(excuse))}{below}</li>"


def _rules(excuse: Excuse) -> str:
    """Every finding, excepted ones told apart."""
    rows: list[tuple[str, ...]] = [
        (
            text(finding.rule),
            f"{finding.verdict.value}{f', by the exception {text(finding.exception)}' if finding.exception else ''}",
            text(finding.message),
        )
        for finding in excuse.findings
    ]
    heads = ("rule", "verdict", "says")
    listed = table("In the gate's order.", heads, rows)
    return f"<details><summary>{excuse.rules_hold}</summary>{listed}</details>"
