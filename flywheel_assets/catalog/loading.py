"""Reading a catalogue and its overlays: YAML 1.2, the limits policy, and errors that name file and line.

An overlay is merged over what comes before it; what gets a new ``url``, a surface, its forge or a source, begins
without credentials and hosts. Merging happens before validation, so an overlay can point a surface elsewhere but cannot
weaken what the models demand.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, MappingStartEvent, SequenceStartEvent

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.catalog.overlays import is_given, lay_over
from flywheel_assets.catalog.references import complaints
from flywheel_assets.domain.errors import CatalogError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits

Path_ = tuple[str, ...]
Places = dict[Path_, str]


class _Constructor(RoundTripConstructor):
    """Says where a value of a bad tag, date or number stands: the parser lets those fail as they will."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - the base class asks so
        try:
            return super().construct_object(node, deep)
        except (YAMLError, RecursionError):
            raise
        except Exception as error:
            problem = f"holds a value that cannot be read: {error}"
            raise ConstructorError(problem=problem, problem_mark=node.start_mark) from error


def load_catalogue(files: list[Path], limits: Limits = DEFAULT_LIMITS) -> Catalogue:
    """The catalogue in ``files``, the first one the base, the rest overlays.

    Raises CatalogError with one ``file:line: sentence`` for each problem found.
    """
    merged: dict[str, Any] = {}
    places: Places = {}
    moved: dict[Path_, str] = {}
    for file in files:
        document = _read(file, limits)
        _locate(document, file, (), places)
        forgotten = lay_over(merged, _plain(document))
        moved |= {path: places[url] for path, url in forgotten.items()}
    moved = {path: place for path, place in moved.items() if not is_given(merged, path)}
    try:
        catalogue = Catalogue.model_validate(merged)
    except ValidationError as error:
        raise CatalogError(_sentences(error, places, moved)) from error
    found = [_complaint(path, sentence, places, moved) for path, sentence in complaints(catalogue)]
    if found:
        raise CatalogError(found)
    return catalogue


def _read(file: Path, limits: Limits) -> Mapping[str, Any]:
    try:
        with file.open("rb") as stream:
            data = stream.read(limits.catalogue_bytes + 1)
    except OSError as error:
        raise CatalogError([f"{file}: cannot be read: {error.strerror}."]) from error
    if len(data) > limits.catalogue_bytes:
        raise CatalogError([f"{file}: is larger than {limits.catalogue_bytes:,} bytes."])
    try:
        text = data.decode("utf-8")
        _refuse_bombs(text, file, limits)
        yaml = YAML(typ="rt", pure=True)
        yaml.Constructor = _Constructor
        document = yaml.load(text)
    except CatalogError:
        raise
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CatalogError([f"{file}:{line}: byte {error.start} is not UTF-8."]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = (error.problem or error.context or "is not YAML").splitlines()[0]
        raise CatalogError([f"{file}:{line}: {printable(problem)}."]) from error
    except YAMLError as error:
        raise CatalogError([f"{file}:1: {printable(str(error))}."]) from error
    except RecursionError as error:
        raise CatalogError([f"{file}:1: nests too deeply."]) from error
    except Exception as error:  # the parser lets what it does not foresee fail as it will
        raise CatalogError([f"{file}:1: cannot be read as YAML: {printable(str(error))}."]) from error
    if not isinstance(document, Mapping):
        raise CatalogError([f"{file}:1: a catalogue is a mapping."])
    return _with_files(document, file)


def _refuse_bombs(text: str, file: Path, limits: Limits) -> None:
    """Aliases can multiply a small file into gigabytes, and nesting can exhaust the stack: look before loading."""
    depth = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise CatalogError([f"{file}:{line}: uses a YAML alias; write the value out."])
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
        elif type(event).__name__ in {"MappingEndEvent", "SequenceEndEvent"}:
            depth -= 1
        if depth > limits.yaml_depth:
            raise CatalogError([f"{file}:{line}: nests deeper than {limits.yaml_depth} levels."])


def _with_files(document: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """Replace names of files beside the catalogue by what they hold: ``public_key_file``, ``trust_root_file``."""
    _inline(document, "trust_root", "", file)
    keys = document.get("keys")
    for name, key in keys.items() if isinstance(keys, Mapping) else ():
        _inline(key, "public_key", f"keys.{name}.", file)
    return document


def _inline(entry: object, field: str, prefix: str, file: Path) -> None:
    named = f"{field}_file"
    if not (isinstance(entry, CommentedMap) and named in entry):
        return
    place = f"{file}:{_line_of(entry, named)}: {prefix}{named}"
    entry.lc.data[field] = entry.lc.data[named]
    relative = str(entry.pop(named))
    try:
        target = (file.parent / relative).resolve()
        if not target.is_relative_to(file.parent.resolve()):
            raise CatalogError([f"{place} leaves the catalogue's folder."])
        entry[field] = target.read_text("ascii")
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name, a loop of links, bytes over 127
        raise CatalogError([f"{place} cannot be read: {printable(relative)}."]) from error


def _locate(node: object, file: Path, path: Path_, places: Places) -> None:
    if isinstance(node, Mapping):
        positions = getattr(node, "lc", None)
        places.setdefault(path, f"{file}:{positions.line + 1 if positions else 1}")
        for key, value in node.items():
            inner = (*path, str(key))
            places[inner] = f"{file}:{_line_of(node, key)}"
            _locate(value, file, inner, places)
    elif isinstance(node, list):
        for stale in [place for place in places if len(place) > len(path) and place[: len(path)] == path]:
            del places[stale]  # a list replaces the one before it
        positions = getattr(node, "lc", None)
        for number, value in enumerate(node):
            inner = (*path, str(number))
            if positions and number in (positions.data or {}):
                places[inner] = f"{file}:{positions.item(number)[0] + 1}"
            _locate(value, file, inner, places)


def _line_of(node: Mapping[str, Any], key: str) -> int:
    """The line of a key, 1-based; 1 for what was not parsed from text."""
    positions = getattr(node, "lc", None)
    return positions.key(key)[0] + 1 if positions and key in (positions.data or {}) else 1


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list) else node


def _place(path: Path_, places: Places) -> str:
    while path and path not in places:
        path = path[:-1]
    return places.get(path, "catalogue:1")


def _path(loc: tuple[int | str, ...]) -> Path_:
    """Where the file holds it: pydantic names the chosen member of a union as if it were a key."""
    parts = [str(part) for part in loc if part != "[key]"]
    if parts[:1] == ["surfaces"] and parts[2:3] in (["mutable"], ["durable"]):
        del parts[2]
    return tuple(parts)


def _complaint(path: Path_, sentence: str, places: Places, moved: Mapping[Path_, str]) -> str:
    """``moved``: what is missing because an overlay gives a new ``url``, with the place of that."""
    if path in moved:
        again = "is to be given again: an overlay gives another url here, and what was for the old one is not for it"
        return f"{moved[path]}: {'.'.join(path)} {again}."
    return f"{_place(path, places)}: {'.'.join(path)} {sentence}."


def _sentences(error: ValidationError, places: Places, moved: Mapping[Path_, str]) -> list[str]:
    sentences = []
    for detail in error.errors(include_url=False, include_input=False):
        path = _path(detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "missing":
            message = "is required and missing"
        elif detail["type"] == "extra_forbidden":
            message = "is not a key that the catalogue knows"
        sentences.append(_complaint(path, message, places, moved))
    return sentences
