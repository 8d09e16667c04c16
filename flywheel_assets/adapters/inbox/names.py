"""Names of deliveries: which are looked at, and how they are shown. Whoever may write to an inbox chooses them."""

import os
import re

from flywheel_assets.domain.errors import printable
from flywheel_assets.ports import Delivery

_NAME_CHARS = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_delivery(name: str) -> bool:
    """Whether a name directly in the inbox is one of a document that is written to its end."""
    return name.endswith(".json") and is_left(name)


def is_left(name: str) -> bool:
    """Whether somebody left something directly in the inbox under this name, readable or not."""
    return name != "" and not name.startswith(".") and "/" not in name


def misnamed(name: str, version: str) -> Delivery:
    """What is left under a name that is none of a document: it is not read, and somebody is told."""
    shown = readable_name(name)
    remedy = "Give it that ending if it is a receipt, or take it away and dismiss this letter."
    return Delivery(shown, None, f"{shown} is not called *.json, so it was not read. {remedy}", version)


def readable_name(name: str) -> str:
    """A file name for people and logs: bytes that are no UTF-8, and control characters, are spelled out."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"), _NAME_CHARS)


def is_in_folder(key: str, below: str) -> bool:
    """Whether ``key`` lies in a folder whose own name is one, directly ``below``."""
    folder, slash, _ = key.removeprefix(below).partition("/")
    return slash != "" and folder not in {"", ".", ".."} and not _CONTROL.search(folder)


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
