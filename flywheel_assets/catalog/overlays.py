"""Laying one catalogue file over those before it, and forgetting what was shown to a place that it moves."""

from typing import Any

Path = tuple[str, ...]
_OF_A_PLACE = ("credential", "read_credential", "app", "hosts")


def lay_over(base: dict[str, Any], overlay: dict[str, Any]) -> dict[Path, Path]:
    """Merge ``overlay`` into ``base``, key by key; a list or a scalar replaces.

    What it points elsewhere must not show its old credential to the new place, nor a new credential to the old one: a
    forge is forgotten with its surface, its own ``url`` too, for whoever moves the one says anew who starts workflows
    for it, and where. Returns what was so forgotten, each with the ``url`` because of which.
    """
    forgotten: dict[Path, Path] = {}
    for part in ("surfaces", "sources"):
        entries = _under(overlay, part)
        for name in entries:
            path, known, entry = (part, name), _under(_under(base, part), name), _under(entries, name)
            forge, forge_path = _under(known, "forge"), (part, name, "forge")
            if "url" in entry:
                _forget(known, path, (*path, "url"), forgotten)
                _forget(forge, forge_path, (*path, "url"), forgotten)
                if "url" in forge:
                    forge["url"] = None  # nor its default: the new token may be for quite another forge
                    forgotten[*forge_path, "url"] = (*path, "url")
            elif "url" in _under(entry, "forge"):
                _forget(forge, forge_path, (*forge_path, "url"), forgotten)
    _merge(base, overlay)
    return forgotten


def is_given(merged: dict[str, Any], path: Path) -> bool:
    """Whether there is a value at ``path``."""
    node = merged
    for key in path[:-1]:
        node = _under(node, key)
    return node.get(path[-1]) is not None


def _under(node: object, key: str) -> dict[str, Any]:
    """The mapping under ``key``, not a copy of it; an empty one where there is none."""
    found = node.get(key) if isinstance(node, dict) else None
    return found if isinstance(found, dict) else {}


def _forget(known: dict[str, Any], path: Path, because: Path, forgotten: dict[Path, Path]) -> None:
    for field in _OF_A_PLACE:
        if known.pop(field, None) is not None:
            forgotten[*path, field] = because


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
