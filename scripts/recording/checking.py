"""Reads the recorded sample back and holds it to what the cases say, with the real tools where there are some."""

import base64
import hashlib
import io
import json
import socket
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from flywheel_assets.domain.artifacts import BazelOutputs, ClosureMember, NixClosure, OciImage
from flywheel_assets.domain.digests import NarHash
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.domain.receipts import Receipt, TestOutcome, read_statement
from flywheel_assets.domain.untrusted import parse_json
from recording.cases import BY_RUN, DASHBOARD_IMAGE, GOOD_TIDE_CLOCK, TRIVY_FILE, TRUNCATED_FILE, Case, Fault
from recording.envelopes import TRUSTED
from recording.images import Layout
from recording.nix import CacheKey, Nix
from recording.published import DSSE
from recording.tampering import dependency
from recording.tools import RecordingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGEST_SAMPLE = 3_000_000
TELLING_NAME = 5
NOT_INSTALLABLE = (Fault.EMPTY_NAR, Fault.MEMBER_GONE)
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def hold(fact: object, sentence: str) -> None:
    """Refuse the recording when a fact does not hold."""
    if not fact:
        raise RecordingError(f"The recorded sample is wrong: {sentence}")


@dataclass(frozen=True)
class Recorded:
    """A sample on disk, the receipts that went into it, and the tools to look at it."""

    sample: Path
    receipts: dict[str, Receipt]
    nix: Nix
    key: CacheKey
    work: Path

    @property
    def cache(self) -> Path:
        """The Nix binary cache."""
        return self.sample / "nix-cache"


def check(recorded: Recorded, traces: tuple[str, ...]) -> None:
    """Hold the sample to the cases; RecordingError says what is wrong."""
    check_inbox(recorded)
    for run, receipt in recorded.receipts.items():
        if isinstance(receipt.artifact, NixClosure):
            check_nix(recorded, BY_RUN[run], receipt.artifact)
        elif isinstance(receipt.artifact, OciImage):
            check_image(Layout(recorded.sample / "oci-staging" / receipt.artifact.repository), receipt.artifact, run)
        else:
            check_bazel(recorded.sample / "bazel-cache", receipt.artifact)
    check_two_builders(recorded)
    check_layer_is_the_closure(recorded)
    check_published(recorded)
    check_files(recorded.sample, (*traces, recorded.key.secret_file.read_text(encoding="utf-8").split(":")[1]))


def check_inbox(recorded: Recorded) -> None:
    """Each envelope but the truncated one reads back, and is signed as its case says."""
    inbox = recorded.sample / "inbox"
    files = {BY_RUN[run].file: run for run in recorded.receipts}
    hold({*files, TRIVY_FILE, TRUNCATED_FILE} == {path.name for path in inbox.iterdir()}, "the inbox has other files")
    for name, run in files.items():
        envelope = Envelope.from_dict(json.loads((inbox / name).read_bytes()))
        hold(read_statement(envelope.payload, name) == recorded.receipts[run], f"{name} does not read back")
        signer = BY_RUN[run].signer
        known = signer if signer in TRUSTED else None
        hold(signer_of(envelope, recorded.sample) == known, f"{name} has another signer")
    envelope = Envelope.from_dict(json.loads((inbox / TRIVY_FILE).read_bytes()))
    outcome = read_statement(envelope.payload, TRIVY_FILE)
    image = recorded.receipts[DASHBOARD_IMAGE.run].artifact
    if not isinstance(outcome, TestOutcome):
        raise RecordingError("the scan is no test result")
    hold([str(found) for found in outcome.subjects] == [str(image.digest)], "the scan is not of the image")
    hold(signer_of(envelope, recorded.sample) == DASHBOARD_IMAGE.signer, "the scan has another signer")
    try:
        parse_json((inbox / TRUNCATED_FILE).read_bytes(), TRUNCATED_FILE)
    except InvalidInputError:
        return
    raise RecordingError("the truncated receipt can be read")


def signer_of(envelope: Envelope, sample: Path) -> str | None:
    """The name of the public key in the sample that signed the envelope."""
    for path in (sample / "keys").glob("*.pub"):
        if path.name.endswith(".nix.pub"):
            continue
        try:
            envelope.verify([SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))], 1)
        except VerificationError:
            continue
        return path.stem
    return None


def check_nix(recorded: Recorded, case: Case, closure: NixClosure) -> None:
    """The cache's row of the root, as the real Nix reads it, differs from the receipt only as the case says."""
    (row,) = recorded.nix.path_infos(f"file://{recorded.cache}", closure.root)
    root = closure.by_path[closure.root]
    served = ClosureMember(
        path=row["path"],
        nar_hash=NarHash.parse(row["narHash"]),
        nar_size=row["narSize"],
        references=tuple(row["references"]),
    )
    swapped = case.fault is Fault.OTHER_CONTENT or case.other_store
    hold((served.nar_hash != root.nar_hash) is swapped, f"{case.file}: the NAR hash in the cache")
    hold((served.references != root.references) is (case.fault is Fault.EXTRA_REFERENCE), f"{case.file}: references")
    fresh = Path(tempfile.mkdtemp(dir=recorded.work))
    installs = recorded.nix.can_install(recorded.cache, fresh, closure.root, recorded.key)
    hold(installs is (case.fault not in NOT_INSTALLABLE), f"{case.file}: whether Nix takes it from the cache")
    if case.fault is Fault.EMPTY_NAR:
        narinfo = (recorded.cache / f"{store_path_hash(closure.root)}.narinfo").read_text(encoding="utf-8")
        nar = narinfo.split("URL: ", 1)[1].splitlines()[0]
        hold((recorded.cache / nar).stat().st_size == 0, f"{case.file}: the NAR is not empty")
    if case.fault is Fault.MEMBER_GONE:
        gone = recorded.cache / f"{store_path_hash(dependency(closure))}.narinfo"
        hold(not gone.exists(), f"{case.file}: no member is gone")


def check_two_builders(recorded: Recorded) -> None:
    """Two builders of one commit saw one store path and two contents."""
    one, other = (recorded.receipts[run] for run in ("14402201105", "14402201106"))
    hold(one.run.source.revision == other.run.source.revision, "the two builders built two commits")
    hold(one.artifact.name == other.artifact.name, "the two builders made two store paths")
    hold(one.artifact.digest != other.artifact.digest, "the two builders agree")


def check_image(layout: Layout, image: OciImage, run: str) -> None:
    """The layout holds the image, and each blob is what its name says."""
    hold(layout.image(image.repository, f"run-{run}") == image, f"{image.repository} holds another image")
    for blob in (layout.folder / "blobs" / "sha256").iterdir():
        hold(hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name, f"{image.repository}: blob {blob.name}")


def check_layer_is_the_closure(recorded: Recorded) -> None:
    """The image of tide-clock holds the files of the closure that it names as its input."""
    image = next(r.artifact for r in recorded.receipts.values() if r.output == "tide-clock-image")
    layout = Layout(recorded.sample / "oci-staging" / image.name)
    (layer,) = json.loads(layout.blob(str(image.digest)))["layers"]
    with tarfile.open(fileobj=io.BytesIO(layout.blob(layer["digest"]))) as archive:
        names = {f"/{name}" for name in archive.getnames()}
    closure = recorded.receipts[GOOD_TIDE_CLOCK.run].artifact
    hold(isinstance(closure, NixClosure) and set(closure.by_path) <= names, "the image lacks a store path")


def check_published(recorded: Recorded) -> None:
    """The published image is the staged one, and its fallback tag leads to the receipt's envelope."""
    receipt = recorded.receipts[DASHBOARD_IMAGE.run]
    layout = Layout(recorded.sample / "ghcr" / DASHBOARD_IMAGE.image)
    digest = str(receipt.artifact.digest)
    hold(layout.tagged(f"sha-{str(DASHBOARD_IMAGE.revision)[:12]}")["digest"] == digest, "another image is published")
    (referrer,) = json.loads(layout.blob(layout.tagged(digest.replace(":", "-"))["digest"]))["manifests"]
    manifest = json.loads(layout.blob(referrer["digest"]))
    hold(manifest["subject"]["digest"] == digest, "the referrer is of another image")
    hold(manifest["artifactType"] == referrer["artifactType"] == DSSE, "the referrer has another type")
    envelope = (recorded.sample / "inbox" / DASHBOARD_IMAGE.file).read_bytes()
    hold(layout.blob(manifest["layers"][0]["digest"]) == envelope, "the referrer holds another envelope")


def check_bazel(cache: Path, outputs: BazelOutputs) -> None:
    """The disk cache holds the action and its outputs."""
    hold((cache / "ac" / outputs.action.hex[:2] / outputs.action.hex).is_file(), "the action is not in the cache")
    for file in outputs.files:
        body = (cache / "cas" / file.digest.hex[:2] / file.digest.hex).read_bytes()
        hold(hashlib.sha256(body).hexdigest() == file.digest.hex, f"{file.path} has another digest")
        hold(len(body) == file.size, f"{file.path} has another size")


def check_files(sample: Path, traces: tuple[str, ...]) -> None:
    """The sample is small, of plain files only, and nothing in it tells where it was recorded."""
    files = [path for path in sample.rglob("*") if not path.is_dir()]
    hold(not any(path.is_symlink() for path in files), "there is a symbolic link")
    hold(sum(path.stat().st_size for path in files) < LARGEST_SAMPLE, "it is too large")
    host = socket.gethostname()
    telling = {*traces, "PRIVATE KEY", *([host] if len(host) >= TELLING_NAME else [])}
    for path in files:
        for body in readings(path.read_bytes()):
            found = [trace for trace in telling if trace.encode() in body]
            hold(not found, f"{path.relative_to(sample)} holds {found}")


def readings(body: bytes) -> Iterator[bytes]:
    """The bytes of a file, and what they decompress or decode to."""
    yield body
    if body.startswith(ZSTD):
        yield zstd.decompress(body)
    elif body.startswith(GZIP):
        yield zlib.decompress(body, wbits=31)
    elif body.startswith(b'{"payload":"') and body.endswith(b"}"):
        yield base64.b64decode(json.loads(body)["payload"])
