"""What goes wrong in a mutable cache, done to the recorded one. Each row stays signed by the cache's key."""

import base64
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.digests import FileHash, NarHash
from flywheel_assets.domain.names import store_path_base, store_path_hash
from recording.cases import BY_RUN, GOOD_TIDE_CLOCK, Case, Fault
from recording.nix import CacheKey, Nix, on_disk, writable_copy

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SEED_BYTES = 32
INTRUDER = "# This line was in no commit.\n"


class Narinfo:
    """A row of the cache whose fields can be changed, and which is then signed anew."""

    def __init__(self, cache: Path, path: str) -> None:
        self.file = cache / f"{store_path_hash(path)}.narinfo"
        lines = self.file.read_text(encoding="utf-8").splitlines()
        self.fields = dict(line.split(": ", 1) for line in lines)

    @property
    def nar(self) -> Path:
        """The file that the row leads to."""
        return self.file.parent / self.fields["URL"]

    @property
    def references(self) -> list[str]:
        """Base names of the paths that the row refers to."""
        return self.fields["References"].split()

    def write(self, key: CacheKey) -> None:
        """Sign the row (Nix: ``1;path;hash;size;references``) and put it back."""
        name, secret = key.secret_file.read_text(encoding="utf-8").strip().split(":", 1)
        signer = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret)[:SEED_BYTES])
        full = ",".join(sorted(f"/nix/store/{base}" for base in self.references))
        said = f"1;{self.fields['StorePath']};{self.fields['NarHash']};{self.fields['NarSize']};{full}"
        self.fields["Sig"] = f"{name}:{base64.b64encode(signer.sign(said.encode())).decode()}"
        text = "".join(f"{field}: {value}\n" for field, value in self.fields.items())
        self.file.write_text(text, encoding="utf-8")


def tamper(cache: Path, key: CacheKey, closures: dict[str, NixClosure], *, nix: Nix, store: Path, work: Path) -> None:
    """Do to the cache what the cases say."""
    for run, closure in closures.items():
        case = BY_RUN[run]
        if case.fault is Fault.EMPTY_NAR:
            Narinfo(cache, closure.root).nar.write_bytes(b"")
        elif case.fault is Fault.OTHER_CONTENT:
            swap_content(Narinfo(cache, closure.root), key, other_nar(nix, store, closure.root, case, work))
        elif case.fault is Fault.EXTRA_REFERENCE:
            add_reference(Narinfo(cache, closure.root), key, tide_tables(closures[GOOD_TIDE_CLOCK.run]))
        elif case.fault is Fault.MEMBER_GONE:
            remove(Narinfo(cache, dependency(closure)))


def dependency(closure: NixClosure) -> str:
    """The one member beside the root."""
    (found,) = (member.path for member in closure.members if member.path != closure.root)
    return found


def tide_tables(tide_clock: NixClosure) -> str:
    """The store path that is referred to without a reason."""
    return dependency(tide_clock)


def other_nar(nix: Nix, store: Path, root: str, case: Case, work: Path) -> bytes:
    """A NAR of what was built, with one line more in its program."""
    changed = work / f"changed-{case.run}"
    writable_copy(on_disk(store, root), changed)
    program = changed / "bin" / case.output
    program.write_text(program.read_text(encoding="utf-8") + INTRUDER, encoding="utf-8")
    program.chmod(0o555)
    return nix.dump(changed)


def swap_content(row: Narinfo, key: CacheKey, nar: bytes) -> None:
    """Put other content under the same store path, with a row that fits it."""
    row.nar.unlink()
    body = zstd.compress(nar)
    hashed = FileHash.of(body)
    row.fields |= {
        "URL": f"nar/{hashed.nix32.removeprefix('sha256:')}.nar.zst",
        "FileHash": hashed.nix32,
        "FileSize": str(len(body)),
        "NarHash": NarHash.of(nar).nix32,
        "NarSize": str(len(nar)),
    }
    row.nar.write_bytes(body)
    row.write(key)


def add_reference(row: Narinfo, key: CacheKey, path: str) -> None:
    """Make the row refer to one path more."""
    row.fields["References"] = " ".join(sorted({*row.references, store_path_base(path)}))
    row.write(key)


def remove(row: Narinfo) -> None:
    """Lose a row and its content, as a garbage collection does."""
    row.nar.unlink()
    row.file.unlink()
