"""Makes small Nix caches without Nix: NARs, store paths, narinfos, receipts."""

import bz2
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from backports import zstd

from flywheel_assets.adapters.nix.narinfo import NarInfo, fingerprint, render_narinfo
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import FileHash, NarHash, to_nix32
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.domain.publications import Release

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def ignored(_count: int) -> None:
    """A progress that nobody watches."""


def nar(contents: bytes) -> bytes:
    """The NAR of one regular file."""

    def text(data: bytes) -> bytes:
        return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)

    words = [b"nix-archive-1", b"(", b"type", b"regular", b"contents", contents, b")"]
    return b"".join(map(text, words))


def store_path(name: str) -> str:
    """A store path whose hash is of its name."""
    return f"/nix/store/{to_nix32(FileHash.of(name.encode()).hex[:40].encode()[:20])}-{name}"


@dataclass
class Made:
    """A store path with its NAR, as the builder knew it."""

    path: str
    body: bytes
    references: tuple[str, ...] = ()
    deriver: str | None = None

    @property
    def member(self) -> ClosureMember:
        return ClosureMember(
            path=self.path,
            nar_hash=NarHash.of(self.body),
            nar_size=len(self.body),
            references=self.references,
        )


def made(name: str, references: Sequence[str] = (), contents: bytes = b"") -> Made:
    return Made(store_path(name), nar(contents or name.encode() * 50), tuple(sorted(references)))


@dataclass
class Cache:
    """A cache in a folder, whose files tests change directly."""

    folder: Path
    compression: str = "zstd"
    paths: dict[str, Made] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "nar").mkdir(parents=True)
        (self.folder / "nix-cache-info").write_text("StoreDir: /nix/store\n", encoding="utf-8")

    def add(self, one: Made, *keys: NixSigningKey, **changes: object) -> Made:
        """Put a path there; ``changes`` are fields of its narinfo that shall lie."""
        packed = PACK[self.compression](one.body)
        suffix = {"zstd": ".zst", "xz": ".xz", "bzip2": ".bz2", "none": ""}[self.compression]
        text = fingerprint(one.path, NarHash.of(one.body), len(one.body), one.references)
        fields: dict[str, object] = {
            "store_path": one.path,
            "url": f"nar/{FileHash.of(packed).nix32.removeprefix('sha256:')}.nar{suffix}",
            "compression": self.compression,
            "file_hash": FileHash.of(packed),
            "file_size": len(packed),
            "nar_hash": NarHash.of(one.body),
            "nar_size": len(one.body),
            "references": one.references,
            "sigs": tuple(key.sign(text) for key in keys),
        }
        info = NarInfo(**{**fields, **changes})  # type: ignore[arg-type]  # lies need not even be typed
        self.narinfo(one.path).write_bytes(render_narinfo(info))
        if "url" not in changes:
            (self.folder / info.url).write_bytes(packed)
        self.paths[one.path] = one
        return one

    def narinfo(self, path: str) -> Path:
        return self.folder / f"{store_path_hash(path)}.narinfo"

    def body(self, path: str) -> Path:
        """The NAR file that the narinfo of ``path`` names."""
        lines = self.narinfo(path).read_text(encoding="utf-8").splitlines()
        return self.folder / next(line.removeprefix("URL: ") for line in lines if line.startswith("URL: "))


def closure(root: Made, *others: Made) -> NixClosure:
    """The receipt's view of a closure."""
    return NixClosure(root=root.path, deriver=root.deriver, members=tuple(one.member for one in (root, *others)))


def release(artifact: NixClosure) -> Release:
    return Release(output="app", build=BuildKey(run="1", attempt=1, system="x86_64-linux"), artifact=artifact)


def s3_environment(url: str) -> dict[str, str]:
    """What S3 clients read of where to go and who they are."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_REGION": "us-east-1",
    }
