"""HTML that needs nothing but itself: no script, no font, no picture, and every word of others escaped.

A page forbids its browser everything but its own style, by the digest of that (CSP Level 3, "Hash source").
"""

import re
from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from html import escape

from flywheel_assets.domain.errors import printable
from flywheel_assets.promotion.excuses import Call, shown

MARK = '<meta name="generator" content="flywheel page">'
"""By which pages are known that this project wrote."""

LONGEST = 4000
_CODE = re.compile(r"`([^`]+)`")

STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--soft:#57606a;--line:#d0d7de;--back:#fff;--panel:#f6f8fa;--link:#0550ae;
--act:#9a3412;--act-back:#ffedd5;--self:#0c4a6e;--self-back:#e0f2fe;--none:#3f4650;--none-back:#e7eaee;
--done:#14532d;--done-back:#dcfce7}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9da7b3;--line:#30363d;--back:#0d1117;--panel:#161b22;
--link:#79b8ff;--act:#fdba74;--act-back:#43210f;--self:#7dd3fc;--self-back:#0b2f45;--none:#c3cad3;--none-back:#2a3038;
--done:#86efac;--done-back:#0f3a20}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.25rem;font:16px/1.5 system-ui,sans-serif;color:var(--text);
background:var(--back);overflow-wrap:anywhere}
a{color:var(--link)}h1{font-size:1.6rem;margin:.5rem 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:1rem 0 .25rem}p{margin:.35rem 0}ul,ol{margin:.25rem 0;padding-left:1.25rem}
.soft,dt,caption,th{color:var(--soft)}.soft{font-size:.9rem}
code{font:.9em ui-monospace,monospace;background:var(--panel);border-radius:4px;padding:.05em .3em}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;background:var(--back)}
table{border-collapse:collapse;width:100%;font-size:.95rem}caption{text-align:left;font-size:.9rem;padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.45rem .75rem .45rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600;white-space:nowrap}td.name{white-space:nowrap}td:last-child{min-width:12rem}
details{border:1px solid var(--line);border-radius:8px;margin:.5rem 0;padding:0 .9rem}
summary{cursor:pointer;padding:.6rem 0}details[open]>summary{border-bottom:1px solid var(--line);margin-bottom:.5rem}
details details{border-width:1px 0 0;border-radius:0;padding:0;margin:.75rem 0 0}
.tag{display:inline-block;border-radius:999px;padding:.05rem .65rem;font-size:.82rem;font-weight:600;white-space:nowrap}
.act{color:var(--act);background:var(--act-back)}.self{color:var(--self);background:var(--self-back)}
.none{color:var(--none);background:var(--none-back)}.done{color:var(--done);background:var(--done-back)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.5rem 0}dd{margin:0}
fieldset{border:0;padding:0;margin:.75rem 0}legend{float:left;margin-right:.75rem;color:var(--soft)}
fieldset label{margin-right:1rem;white-space:nowrap}
.blocker{border-left:3px solid var(--line);padding:.1rem 0 .1rem .9rem;margin:.75rem 0}
body:has(#only-act:checked) .build:not(.is-act),body:has(#only-self:checked) .build:not(.is-self),
body:has(#only-none:checked) .build:not(.is-none),body:has(#only-done:checked) .build:not(.is-done){display:none}
@media (max-width:40rem){table,caption,tbody,tr,td{display:block}thead{display:none}dl{grid-template-columns:1fr}
tr{border-bottom:1px solid var(--line);padding:.4rem 0}td,td.name{border:0;padding:.1rem 0;white-space:normal}
td::before{content:attr(data-label) ": ";color:var(--soft)}td.name::before{content:none}}
@media print{body{max-width:none;padding:0}fieldset,nav{display:none}.build{break-inside:avoid}
details::details-content{content-visibility:visible;display:block}a{color:inherit}}
"""

CLASSES = {Call.SOMEBODY: "act", Call.ITSELF: "self", Call.NOTHING: "none", Call.DONE: "done"}


def text(words: str) -> str:
    """Words of anybody: nothing in them is markup, or moves other words about; `commands` are set as code."""
    return _CODE.sub(r"<code>\1</code>", escape(printable(words, LONGEST), quote=True))


def link(address: str, words: str) -> str:
    """A link within the pages."""
    return f'<a href="{escape(address, quote=True)}">{text(words)}</a>'


def moment(at: datetime | None) -> str:
    """A time; empty for None."""
    return f'<time datetime="{at.isoformat()}">{shown(at)}</time>' if at else ""


def tag(call: Call) -> str:
    """Whose turn it is, as a word with a colour."""
    return f'<span class="tag {CLASSES[call]}">{call.value}</span>'


def table(caption: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of cells that are markup already; the first of each row names it."""
    labels = tuple(text(each) for each in heads)
    head = "".join(f'<th scope="col">{label}</th>' for label in labels)
    body = "".join(
        f'<tr><td class="name">{row[0]}</td>'
        + "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in zip(labels[1:], row[1:], strict=True))
        + "</tr>\n"
        for row in rows
    )
    return f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def document(title: str, body: str) -> str:
    """A whole page."""
    style = b64encode(sha256(STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
{MARK}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#main">To the content</a>
{body}
</body>
</html>
"""
