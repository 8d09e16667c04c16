"""The sample flywheel on real servers: caches, staging and surfaces over the wire, everything else as recorded."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.adapters.oci.documents import OCI_INDEX
from flywheel_assets.adapters.oci.registry import Registry
from flywheel_assets.domain.digests import BlobDigest
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.promotion.installation import publish_all
from flywheel_assets_tests.servers import WebServer
from flywheel_assets_tests.token_issuer import PASSWORD, USER

STAGED = ("harbor-map", "tide-clock", "runner-dashboard")
OVERLAY = """
surfaces:
  attic-main: {{url: "{attic}"}}
  bazel-cache: {{url: "{bazel}", credential: {{user: {user}, password: "file:password"}}}}
  oci-staging: {{url: "{staging}", credential: {{user: {user}, password: "file:password"}}}}
  ghcr: {{url: "{ghcr}", hosts: ["{realm}"], credential: {{user: {user}, password: "file:password"}}}}
  durable-nix: {{url: "{durable}", visibility: {visibility}}}
  flakehub: {{visibility: {visibility}{readers}}}
"""


@dataclass(frozen=True)
class Networked:
    """An installation whose surfaces are servers: ``ghcr`` and ``durable`` are URLs of the durable ones."""

    home: Path
    overlay: Path
    ghcr: str
    durable: str

    def open(self) -> Flywheel:
        """As a new process would."""
        return open_flywheel(Settings(self.home, (*SAMPLE_CATALOGUE, self.overlay)))

    def run(self) -> Flywheel:
        """Take in, judge and publish everything."""
        flywheel = self.open()
        take_in(flywheel)
        publish_all(flywheel)
        return flywheel


def network(
    home: Path,
    skopeo: Path,
    *,
    web: WebServer,
    closed_web: WebServer,
    staging: str,
    ghcr: str,
    realm: str,
    durable: str,
) -> Networked:
    """Fill the servers with the recorded sample, and point an installation at them."""
    shutil.copytree(SAMPLE / "nix-cache", web.folder / "attic")
    (web.folder / "durable").mkdir()
    for kind in ("ac", "cas"):
        (web.folder / "bazel" / kind).mkdir(parents=True)
        for path in (SAMPLE / "bazel-cache" / kind).glob("*/*"):
            shutil.copy(path, web.folder / "bazel" / kind / path.name)
    for name in STAGED:
        push(skopeo, SAMPLE / "oci-staging/tinyland-inc" / name, f"{staging}/tinyland-inc/{name}")
    push(skopeo, SAMPLE / "ghcr/tinyland-inc/runner-dashboard", f"{ghcr}/tinyland-inc/runner-dashboard", realm)
    home.mkdir(parents=True)
    (home / "password").write_text(PASSWORD)
    overlay = home / "overlay.yaml"
    is_private = durable.startswith("s3:")
    overlay.write_text(
        OVERLAY.format(
            attic=f"{web.url}/attic",
            bazel=f"{closed_web.url}/bazel",
            staging=f"http://{staging}",
            ghcr=f"http://{ghcr}",
            realm=realm,
            durable=durable,
            # What the test's S3 server holds is for those with a credential.
            visibility="private" if is_private else "public",
            readers=f', read_credential: {{user: {USER}, password: "file:password"}}' if is_private else "",
            user=USER,
        )
    )
    return Networked(home, overlay, ghcr, durable)


def push(skopeo: Path, layout: Path, target: str, *realms: str) -> None:
    """Every tag of a layout, as the tool that platforms use pushes it; what refers to an image as its workflow does."""
    for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
        tag = entry["annotations"]["org.opencontainers.image.ref.name"]
        if tag.startswith("sha256-"):
            push_referrers(layout, target, realms, tag, entry["digest"])
            continue
        command = [str(skopeo), "--insecure-policy", "copy", "--all", "--preserve-digests", "--quiet"]
        command += ["--dest-tls-verify=false", f"--dest-creds={USER}:{PASSWORD}"]
        subprocess.run([*command, f"oci:{layout}:{tag}", f"docker://{target}:{tag}"], check=True, timeout=100)


def push_referrers(layout: Path, target: str, realms: tuple[str, ...], tag: str, index: str) -> None:
    """The skopeo of Debian refuses an index of artifacts."""
    host, _, name = target.partition("/")
    credentials = Credentials(user=USER, password=Secret(PASSWORD))
    repository = Registry(f"http://{host}", credentials, realms).repository(name)

    def blob(digest: str) -> bytes:
        return (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()

    for child in json.loads(blob(index))["manifests"]:
        manifest = json.loads(blob(child["digest"]))
        for part in (manifest["config"], *manifest["layers"]):
            repository.put_blob([blob(part["digest"])], BlobDigest(part["digest"]), part["size"])
        repository.put_manifest(blob(child["digest"]), child["mediaType"])
    repository.put(tag, blob(index), OCI_INDEX)
