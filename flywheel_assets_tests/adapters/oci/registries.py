"""What tests on real registries share: filling one without the code under test, and reaching into its storage."""

import http.client
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials, Secret
from flywheel_assets.adapters.oci.registry import Registry
from flywheel_assets.adapters.oci.repository import Repository
from flywheel_assets_tests.adapters.oci.images import MANIFEST, digest_of
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.token_issuer import PASSWORD, USER

PUSHER = Credentials(user=USER, password=Secret(PASSWORD))


def repositories(
    server: Server, prefix: str, *, pusher: bool = False, hosts: Collection[str] = ()
) -> Callable[[str], Repository]:
    """Those below ``prefix`` on a server, for everybody or for the one who may push."""
    credentials = PUSHER if pusher else ANONYMOUS
    return Registry(f"{server.url}/{prefix}", credentials, hosts, pauses=(0.01, 0.05, 0.2)).repository


def push(layout: Path, server: Server, name: str) -> None:
    """Put all blobs and manifests of a layout into an open registry, and its tags."""
    manifests: list[dict[str, Any]] = []
    for path in sorted((layout / "blobs/sha256").iterdir()):
        data = path.read_bytes()
        send_blob(server, name, data)
        if b'"schemaVersion"' in data:
            manifests.append({"data": data, "type": json.loads(data).get("mediaType", MANIFEST)})
    # Children before parents: those that name no other manifest come first.
    for found in sorted(manifests, key=lambda each: b'"manifests"' in each["data"]):
        send_manifest(server, name, digest_of(found["data"]), found["data"], found["type"])
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
        if tag:
            data = (layout / "blobs/sha256" / entry["digest"].removeprefix("sha256:")).read_bytes()
            send_manifest(server, name, tag, data, entry["mediaType"])


def send_blob(server: Server, name: str, data: bytes) -> None:
    status, headers = asked(server, "POST", f"/v2/{name}/blobs/uploads/")
    assert status == 202, status
    location = headers["Location"].removeprefix(server.url)
    joint = "&" if "?" in location else "?"
    status, _ = asked(server, "PUT", f"{location}{joint}digest={digest_of(data)}", data)
    assert status == 201, status


def send_manifest(server: Server, name: str, reference: str, data: bytes, media_type: str) -> None:
    status, _ = asked(server, "PUT", f"/v2/{name}/manifests/{reference}", data, {"Content-Type": media_type})
    assert status == 201, status


def asked(
    server: Server, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage]:
    """Status and headers of a plain request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, target, body, {"Accept": MANIFEST, **(headers or {})})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        connection.close()


def stored(server: Server, digest: object) -> list[Path]:
    """The files in which a registry keeps a blob or manifest: one, or one for each repository."""
    found = server.folder.rglob(str(digest).removeprefix("sha256:"))
    return [path for each in found for path in (each, each / "data") if path.is_file()]
