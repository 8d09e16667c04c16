"""Names of deliveries: which are looked at, and how they are shown. Whoever may write to an inbox chooses them."""

import os

from flywheel_assets.domain.errors import printable

_NAME_CHARS = 300


def is_delivery(name: str) -> bool:
    """Whether a name directly in the inbox is one of a document that is written to its end."""
    return name.endswith(".json") and not name.startswith(".") and "/" not in name


def readable_name(name: str) -> str:
    """A file name for people and logs: bytes that are no UTF-8, and control characters, are spelled out."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"), _NAME_CHARS)
