"""The outputs of a target, from Bazel's build events.

Source: bazel, src/main/java/com/google/devtools/build/lib/buildeventstream/proto/build_event_stream.proto, as
``--build_event_json_file`` writes it. TargetComplete names sets of files, sets name files and further sets. Bazel 4.2
gives no digests there, later versions do; the digest of an action is in the execution log alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel_assets.adapters.bazel.stream import objects
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError, UsageError, printable
from flywheel_assets.domain.statements import invalid

MAX_FILES = 200_000
"""All files that all sets name."""

_REMEDY = "Write the events again with --build_event_json_file."


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EventFile(_Wire):
    """A file as the events name it. ``digest`` (hex) and ``size`` (bytes) are there from Bazel 5 on."""

    name: str
    prefix: tuple[str, ...] = Field(alias="pathPrefix", default=())
    digest: str = ""
    size: Annotated[int | None, Field(ge=0, alias="length")] = None  # int64, which protojson writes as a string

    @property
    def path(self) -> str:
        """As the execution log has it: relative to the execution root."""
        return "/".join((*self.prefix, self.name))


class _Id(_Wire):
    id: str


class _Set(_Wire):
    files: tuple[EventFile, ...] = ()
    sets: tuple[_Id, ...] = Field(alias="fileSets", default=())


class _Group(_Wire):
    name: str = ""
    sets: tuple[_Id, ...] = Field(alias="fileSets", default=())


class _Completed(_Wire):
    success: bool = False
    groups: tuple[_Group, ...] = Field(alias="outputGroup", default=())


class _Target(_Wire):
    label: str
    aspect: str = ""


class _EventId(_Wire):
    target: _Target | None = Field(alias="targetCompleted", default=None)
    named_set: _Id | None = Field(alias="namedSet", default=None)


class _Event(_Wire):
    id: _EventId
    completed: _Completed | None = None
    set_of_files: _Set | None = Field(alias="namedSetOfFiles", default=None)


def target_files(events: Path, label: str) -> tuple[EventFile, ...]:
    """The files of the default output group of ``label``, by path.

    Raises UsageError when the target did not complete, or failed, InvalidInputError for malformed events,
    LimitExceededError, ReadError.
    """
    sets: dict[str, _Set] = {}
    completed: list[_Completed] = []
    count = 0
    for event in _read(events):
        if event.id.named_set and event.set_of_files:
            sets[event.id.named_set.id] = event.set_of_files
            count += len(event.set_of_files.files)
            if count > MAX_FILES:
                raise LimitExceededError(str(events), "files", f"are over {MAX_FILES:,}", "Build fewer targets.")
        elif event.completed and event.id.target and not event.id.target.aspect and event.id.target.label == label:
            completed.append(event.completed)
    if not completed or not all(each.success for each in completed):
        state = "did not succeed" if completed else "is not complete"
        raise UsageError(
            f"{printable(label)} {state} in {printable(str(events))}. Build it, as Bazel spells its label."
        )
    roots = [
        each.id for target in completed for group in target.groups if group.name == "default" for each in group.sets
    ]
    return tuple(sorted(_in_sets(sets, roots, str(events)), key=lambda file: file.path))


def _read(events: Path) -> Iterator[_Event]:
    for entry in objects(events, "The file of build events", _REMEDY):
        try:
            yield _Event.model_validate(entry)
        except ValidationError as error:
            raise invalid(error, str(events), _REMEDY) from error


def _in_sets(sets: dict[str, _Set], roots: list[str], name: str) -> Iterator[EventFile]:
    """The files of sets and of those within them, each set once: they share, and bad ones could go in circles."""
    waiting, seen, found = list(roots), set[str](), set[EventFile]()
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        if each not in sets:
            raise InvalidInputError(name, "namedSet", f"{printable(each)!r} is named and not there", _REMEDY)
        waiting += [inner.id for inner in sets[each].sets]
        yield from (file for file in sets[each].files if file not in found)
        found.update(sets[each].files)
