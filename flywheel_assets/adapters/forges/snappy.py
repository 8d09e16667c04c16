"""Snappy blocks, unpacked: in them GitHub keeps bundles. Source: Snappy, format_description.txt (the raw format)."""

from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError

_LITERAL, _SHORT_COPY = 0, 1
_LONG_LITERAL = 60  # from here on, a tag says in how many bytes the length follows
_REMEDY = "Let the forge serve it whole."


def unpacked(data: bytes, document: str, most: int) -> bytes:
    """The bytes in a block. Raises InvalidInputError, and LimitExceededError before it unpacks more than ``most``."""
    try:
        size, at = _length(data)
        if size > most:
            problem = f"unpacks to {size:,} bytes, and no more than {most:,} are read"
            raise LimitExceededError(document, "size", problem, _REMEDY)
        made = bytearray()
        while at < len(data) and len(made) <= size:
            at = _element(data, at, made)
    except IndexError:
        made, size = bytearray(), 1
    if len(made) != size:
        raise InvalidInputError(document, "block", "is no whole Snappy block", _REMEDY)
    return bytes(made)


def _length(data: bytes) -> tuple[int, int]:
    """The length that a block declares for what is in it, and where its elements begin."""
    size = 0
    for at in range(5):
        size |= (data[at] & 0x7F) << 7 * at
        if data[at] < 0x80:  # noqa: PLR2004 - a varint goes on while the highest bit is set
            return size, at + 1
    raise IndexError


def _element(data: bytes, at: int, made: bytearray) -> int:
    """Append what the element at ``at`` stands for; where the next begins. Raises IndexError for one that is cut."""
    kind, upper = data[at] & 3, data[at] >> 2
    if kind == _LITERAL:
        more = max(upper - _LONG_LITERAL + 1, 0)
        length = (_number(data, at + 1, more) if more else upper) + 1
        start = at + 1 + more
        made += _piece(data, start, length)
        return start + length
    if kind == _SHORT_COPY:
        length, offset, end = (upper & 7) + 4, (upper >> 3 << 8) | data[at + 1], at + 2
    else:
        width = 2 if kind == 2 else 4  # noqa: PLR2004 - the kinds are numbered
        length, offset, end = upper + 1, _number(data, at + 1, width), at + 1 + width
    if not 0 < offset <= len(made):
        raise IndexError
    made += (made[-offset:] * (length // offset + 1))[:length]  # what is copied may reach into the copy
    return end


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(_piece(data, at, width), "little")


def _piece(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise IndexError
    return data[at : at + length]
