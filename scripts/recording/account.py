"""Writes RECORDED.md, the account of how the sample was made."""

from datetime import date
from pathlib import Path

from recording.cases import CASES, DASHBOARD_IMAGE, TRIVY_FILE, TRUNCATED_FILE
from recording.envelopes import TRUSTED, Keys

OPENING = """\
# A recorded flywheel

Recorded on {day} by `make sample` (scripts/record_sample.py). Run it to record anew: with fresh keys, and so
with other signatures. Store paths and digests stay the same as long as the tools do, but for the chart-plotter
of 14402201105 and 14402201106, which is not reproducible on purpose.

The builds are real: Nix, Bazel, Buildah and umoci filled the caches and layouts, the receipts say what the
builders' own stores said, and only afterwards was the cache spoiled where a case below says so. The published
image's referrer was written by the recorder. The circumstances are made up: nobody ran these workflows, and the
repositories named need not hold these sources. Those are in scripts/recording/sources.

| folder | what it is |
| --- | --- |
| nix-cache/ | a Nix binary cache (`file://`), zstd, signed by the key of keys/attic-main.nix.pub |
| bazel-cache/ | a Bazel `--disk_cache` with one action |
| oci-staging/ | an OCI image layout for each repository, tagged `run-<run>` |
| ghcr/ | a layout that its own workflow has already published |
| inbox/ | receipts, as DSSE envelopes |
| keys/ | public keys; the private ones were never written |
"""

CLOSING = """\
Bazel does not store the empty blob, though the action's result names it as its standard output and error.
"""


def write(file: Path, day: date, versions: dict[str, str], keys: Keys) -> None:
    """Write the account of a recording."""
    tools = [f"| {tool} | {version} |" for tool, version in versions.items()]
    known = [f"| keys/{name}.pub | `{keys.keyid(name)}` |" for name in TRUSTED]
    cases = [f"| inbox/{case.file} | {case.what} |" for case in CASES]
    cases += [
        f"| inbox/{TRIVY_FILE} | a test result about the image of {DASHBOARD_IMAGE.run}: its scan passed |",
        f"| inbox/{TRUNCATED_FILE} | the receipt of 14402201001, cut in the middle |",
    ]
    parts = [
        OPENING.format(day=day.isoformat()),
        "## Tools\n\n| tool | version |\n| --- | --- |\n" + "\n".join(tools) + "\n",
        "## Keys\n\n| file | keyid |\n| --- | --- |\n" + "\n".join(known) + "\n",
        "## Cases\n\n| file | what is special |\n| --- | --- |\n" + "\n".join(cases) + "\n",
        CLOSING,
    ]
    file.write_text("\n".join(parts), encoding="utf-8")
