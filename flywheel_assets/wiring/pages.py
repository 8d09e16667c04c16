"""What `flywheel page` needs of the adapters: a folder of pages, each whole at every moment."""

from collections.abc import Mapping
from pathlib import Path

from flywheel_assets.adapters.writing import publishing, write_atomically
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.paging import INDEX, MARK


def write_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Write the pages, the index last, so that no link of it leads nowhere; then remove those of earlier that are over.

    Only files that this command wrote are replaced or removed. Raises UsageError for a folder that holds something
    else, PublicationError when it cannot be written.
    """
    with publishing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        earlier = [path for path in folder.rglob("*.html") if _is_ours(path)]
        if any(folder.iterdir()) and folder / INDEX not in earlier:
            raise UsageError(
                f"{folder} holds something that `flywheel page` did not write. Give it a folder of its own."
            )
        for name in sorted(pages, key=lambda name: (name == INDEX, name)):
            path, data = folder / name, pages[name].encode()
            path.parent.mkdir(exist_ok=True)
            if path not in earlier or path.read_bytes() != data:
                write_atomically(path, data, synced=False)
        for path in earlier:
            if str(path.relative_to(folder)) not in pages:
                path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(2000)
