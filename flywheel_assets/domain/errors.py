"""Every error this project raises on purpose.

::

    FlywheelError
    ├── UsageError                    the caller asked for something that makes no sense
    ├── CatalogError                  the catalogue is wrong: file, line, sentence
    ├── InvalidInputError             untrusted bytes do not say what they must
    │   ├── LimitExceededError        … or are larger or deeper than the limits policy allows
    │   └── LedAstrayError            … or lead to a place that their surface may not lead to
    ├── ReadError                     a surface or inbox could not be read
    │   ├── AbsentError               the surface answered: it is not there
    │   ├── UnauthorisedError         the surface refused
    │   ├── RateLimitedError          the surface asks to wait (says for how long, when it knows)
    │   └── UnreadableError           the surface failed (may pass on another try)
    │       └── AmbiguousError        … and may have done what it was asked for: look before asking again
    ├── SignatureError                an envelope is unsigned, or not by the key that was asked for
    ├── EvidenceError                 the evidence store contradicts itself
    │   ├── EvidenceMissingError      named evidence is gone
    │   ├── EvidenceCorruptError      bytes do not match their digest or signature
    │   └── EvidenceRolledBackError   a log is shorter than what was already seen of it
    └── PublicationError              a surface would not, or did not, take what was approved
        ├── PromotionRefusedError     the gate does not approve (carries the verdict)
        ├── NameTakenError            a tag or store path holds other content
        ├── SurfaceNotImplementedError  the catalogue names a surface that nothing here can serve yet
        └── ReadBackError             what a consumer reads is not what was approved

Absent, unreadable, unauthorised, rate-limited and invalid are five types: none of them ever passes the gate.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flywheel_assets.domain.verdicts import Verdict


class FlywheelError(Exception):
    """Base of the tree. Its text is a sentence for a person."""


class UsageError(FlywheelError):
    """The caller asked for something that makes no sense; says what would."""


class CatalogError(FlywheelError):
    """The catalogue is wrong. ``problems`` holds one ``file:line: sentence`` each."""

    def __init__(self, problems: list[str]) -> None:
        """Join the problems, one a line."""
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidInputError(FlywheelError):
    """Untrusted bytes do not say what they must.

    ``document`` names the file or object, ``field`` the place in it, ``problem`` is the sentence and
    ``remedy`` what to do about it.
    """

    def __init__(self, document: str, field: str, problem: str, remedy: str) -> None:
        """Compose the sentence; every part is cut to a printable length."""
        self.document = printable(document)
        self.field = printable(field)
        self.problem = printable(problem, 400)
        self.remedy = printable(remedy, 400)
        super().__init__(f"{self.document}: {self.field}: {self.problem.removesuffix('.')}. {self.remedy}")


class LimitExceededError(InvalidInputError):
    """The input is larger, longer or deeper than the limits policy allows."""


class LedAstrayError(InvalidInputError):
    """A surface leads (redirect, upload location, token realm, URL in a narinfo) where it may not lead."""


class ReadError(FlywheelError):
    """A surface or inbox could not be read, or did not answer a request to write."""


class AbsentError(ReadError):
    """The surface answered that the object is not there."""


class UnauthorisedError(ReadError):
    """The surface refused to let this reader see the object."""


class RateLimitedError(ReadError):
    """The surface asks to wait; ``retry_after`` in seconds, None when it does not say for how long."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Keep the time beside the sentence."""
        super().__init__(message)
        self.retry_after = retry_after


class UnreadableError(ReadError):
    """The surface failed while it was asked; another try may succeed."""


class AmbiguousError(UnreadableError):
    """The surface failed while it was asked to do something once, and may have done it: look before asking again."""


class SignatureError(FlywheelError):
    """An envelope is unsigned, or not signed by a key that was asked for."""


class EvidenceError(FlywheelError):
    """The evidence store contradicts itself; nothing can be decided on it."""


class EvidenceMissingError(EvidenceError):
    """Evidence that a log names is gone."""


class EvidenceCorruptError(EvidenceError):
    """Bytes in the store do not match their digest, signature or place."""


class EvidenceRolledBackError(EvidenceError):
    """A log is shorter than, or differs from, what this process has already seen of it."""


class PublicationError(FlywheelError):
    """A surface would not, or did not, take what was approved."""


class PromotionRefusedError(PublicationError):
    """The gate does not approve this build; ``verdict`` says why."""

    def __init__(self, message: str, verdict: "Verdict") -> None:
        """Keep the verdict beside the sentence."""
        super().__init__(message)
        self.verdict = verdict


class NameTakenError(PublicationError):
    """A tag, version or store path on the surface already holds other content."""


class SurfaceNotImplementedError(PublicationError):
    """The catalogue names a surface that nothing here can serve yet."""


class ReadBackError(PublicationError):
    """What a consumer would read from the surface is not what was approved."""


def printable(text: str, limit: int = 160) -> str:
    """``text`` without control characters and cut to ``limit``, so that hostile input cannot paint a terminal."""
    if len(text) <= limit and text.isprintable():
        return text
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
