"""Names of deliveries: which are looked at, and how they are shown. Whoever may write to an inbox chooses them."""

import os
import re

from flywheel_assets.domain.errors import printable

_NAME_CHARS = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_delivery(name: str) -> bool:
    """Whether a name directly in the inbox is one of a document that is written to its end."""
    return name.endswith(".json") and not name.startswith(".") and "/" not in name


def readable_name(name: str) -> str:
    """A file name for people and logs: bytes that are no UTF-8, and control characters, are spelled out."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"), _NAME_CHARS)


def after_unaddressable(key: str, below: str) -> str:
    """The first name, as S3 orders them, that is a path and comes after ``key``, which is none; without ``below``.

    Between the two lie only names that are no paths either: an empty segment, ``.`` and ``..`` end with a slash, and
    "0" comes right after it; a space is the first character that is no control character.
    """
    good: list[str] = []
    for segment in key.removeprefix(below).split("/"):
        if segment in {"", ".", ".."}:
            return "/".join([*good, f"{segment}0"])
        if control := _CONTROL.search(segment):
            start, following = segment[: control.start()], "\x80" if control[0] == "\x7f" else " "
            return "/".join([*good, start + following])
        good.append(segment)
    return "/".join(good)
