"""The whole way with a real Nix, without /nix: built by one, cached, built again by the rebuilder, weighed."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from flywheel_assets.adapters.git import fetch_revision
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.rebuilder import NixRebuilder
from flywheel_assets.adapters.signatures.keys import key_file
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.domain.verdicts import Finding
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.rebuilding import rebuild, to_ask_for
from flywheel_assets.wiring.rebuilds import open_rebuilder
from flywheel_assets_tests.adapters.nix.test_rebuilder import CONFIGURATION, Source, attribute, source
from flywheel_assets_tests.gate.cases import REPOSITORY, a_run, changed
from flywheel_assets_tests.promotion.installation import Memory, a_signer
from flywheel_assets_tests.promotion.rebuilds import FIRST, OUTPUT, catalogue, deliver, rebuilding

pytestmark = pytest.mark.peer("nix", "git")


@dataclass(frozen=True)
class Place:
    """Where the real parts of a test are."""

    folder: Path
    nix: Path
    tool: Source

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "NIX_CONF_DIR": str(self.folder / "etc"), "SECRET_TOKEN": "a secret"}

    def fill(self, name: str) -> Memory:
        """A builder builds an attribute, fills its cache, and leaves a receipt; the rebuilder has another store."""
        store = f"local?root={self.folder / 'builder'}"
        builder = NixRebuilder(
            signer=a_signer("nixer"),
            nix=str(self.nix),
            store=store,
            fetch=partial(fetch_revision, environment=self.environment),
            caches={},
            environment=self.environment,
            seconds=120,
            urls={REPOSITORY: self.tool.url},
        )
        made = builder.rebuild(REPOSITORY, self.tool.revision, attribute(name)).closure
        subprocess.run(
            [
                *(self.nix, "--extra-experimental-features", "nix-command", "copy", "--store", store),
                *("--to", f"file://{self.folder / 'cache'}", made.root),
            ],
            check=True,
            timeout=60,
            env={**self.environment, "HOME": str(self.folder)},
        )
        run = a_run("nixer", FIRST, definition=attribute(name))
        run = changed(run, {"source": changed(run.source, {"revision": self.tool.revision})})
        statement = receipt_statement(Receipt(output=OUTPUT, run=run, artifact=made))
        known = self.catalogue(attribute(name))
        caches = {"attic": NixCache(self.folder / "cache")}
        rebuilder = open_rebuilder(self.folder / "keys", known, caches, self.environment)
        memory = rebuilding(known=known, rebuilder=rebuilder)
        memory = replace(memory, flywheel=replace(memory.flywheel, caches=caches))
        deliver(memory, a_signer("nixer").sign(statement, PAYLOAD_TYPE))
        return memory

    def catalogue(self, definition: str) -> Catalogue:
        raw = catalogue(definition=definition).model_dump(mode="json", by_alias=True)
        raw["keys"]["rebuilder"]["public_key"] = key_file(self.folder / "keys" / "rebuilder.pem").public_key
        raw["rebuilder"] |= {
            "nix": str(self.nix),
            "store": f"local?root={self.folder / 'rebuilder'}",
            "fetch_from": {REPOSITORY: self.tool.url},
        }
        return Catalogue.model_validate(raw)


@pytest.fixture
def place(peer_path: Callable[[str], Path], tmp_path: Path) -> Place:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nix.conf").write_text(CONFIGURATION, "utf-8")
    return Place(tmp_path, peer_path("nix"), source(tmp_path / "tool"))


def finding(memory: Memory, build: BuildKey) -> Finding:
    found = judge(memory.flywheel, OUTPUT, build).verdict
    return next(f for f in found.findings if f.rule == "rebuild_agrees")


def test_a_reproducible_build_gets_its_second_opinion(place: Place) -> None:
    memory = place.fill("same")
    assert finding(memory, FIRST).reason == "second-builder-missing"
    assert to_ask_for(memory.flywheel) == [(OUTPUT, FIRST)]
    assert rebuild(memory.flywheel, OUTPUT, FIRST).agrees
    _, again = builds_of(memory.flywheel, OUTPUT)
    assert finding(memory, FIRST).reason == "holds"
    assert finding(memory, again).reason == "second-opinion"
    for build in (FIRST, again):
        assert judge(memory.flywheel, OUTPUT, build).verdict.body_is_whole


def test_an_irreproducible_build_is_rejected_for_good_with_the_file_that_differs(place: Place) -> None:
    memory = place.fill("different")
    assert finding(memory, FIRST).reason == "second-builder-missing"
    assert not rebuild(memory.flywheel, OUTPUT, FIRST).agrees
    found = finding(memory, FIRST)
    assert (found.verdict.value, found.reason) == ("rejected permanently", "builders-disagree")
    assert found.message.endswith("1 of 2 files differ: noise (content, 20 → 20 bytes)")
