"""Where records of platform runs lie: in one of 256 logs, so that a burst of ten thousand makes none of them long."""

import hashlib

from flywheel_assets.ports import EvidenceStore, LogEntry

PLATFORM_RUN, PLATFORM_ABSENCE = "platform-run", "platform-absence"


PLATFORM_LOGS = "platform-"


def platform_log(repository: str, run: str) -> str:
    """The log of a run: all its attempts are in the same."""
    return f"{PLATFORM_LOGS}{hashlib.sha256(f'{repository} {run}'.encode()).hexdigest()[:2]}"


def subject_of(repository: str, run: str, attempt: int, version: str = "") -> str:
    """What a record is about; with a version where an attempt can go on after it had finished."""
    return f"{repository} {run}.{attempt} {version}".rstrip()


def entries_about(evidence: EvidenceStore, repository: str, run: str, attempt: int) -> list[LogEntry]:
    """The records of one attempt, oldest first. Raises EvidenceError."""
    wanted = subject_of(repository, run, attempt)
    entries = evidence.entries(platform_log(repository, run))
    return [entry for entry in entries if entry.subject == wanted or entry.subject.startswith(f"{wanted} ")]
