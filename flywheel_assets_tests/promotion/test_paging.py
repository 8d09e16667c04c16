"""The static pages: every build on them, nothing of others' words at work in them, the same bytes each time."""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest

from flywheel_assets.adapters.writing import write_atomically
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.errors import FlywheelError, UsageError
from flywheel_assets.promotion.failures import Cause, note_failure
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.markup import MARK, STYLE, text
from flywheel_assets.promotion.paging import INDEX, pages_of
from flywheel_assets.wiring.pages import write_pages
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    SAMPLE_ROWS,
    Memory,
    in_memory,
    judge_all,
    published,
    sample_catalogue,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&`<b>`\u202e"


@dataclass
class Page(HTMLParser):
    """The tags, links, anchors and words of a page; it fails where tags are not closed as they were opened."""

    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)
    words: str = ""
    still_open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            self.links += [value or ""] if name in {"href", "src"} else []
            self.anchors += [value or ""] if name == "id" else []
        if tag not in {"meta", "br", "input"}:
            self.still_open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.still_open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def read(page: str) -> Page:
    found = Page()
    found.feed(page)
    found.close()
    assert not found.still_open
    assert len(found.anchors) == len(set(found.anchors))
    return found


def hostile_catalogue() -> Catalogue:
    known = sample_catalogue()
    owners = {name: owner.model_copy(update={"name": HOSTILE}) for name, owner in known.owners.items()}
    outputs = {n: output.model_copy(update={"definition": HOSTILE}) for n, output in known.outputs.items()}
    return known.model_copy(update={"name": HOSTILE, "owners": owners, "outputs": outputs})


@pytest.fixture
def memory() -> Memory:
    found = in_memory("144022010", "144022011")
    take_in(found.flywheel)
    judge_all(found.flywheel)
    return found


def test_every_build_of_the_sample_is_on_a_page_and_every_link_leads_somewhere() -> None:
    pages = {name: read(page) for name, page in pages_of(published().open()).items()}
    for output, build, *_ in SAMPLE_ROWS:
        name = INDEX if output in {"?", "mystery-box"} else f"outputs/{output}.html"
        assert build in pages[name].words
    for name, page in pages.items():
        for target in page.links:
            file, _, anchor = target.partition("#")
            leads_to = normpath(join(dirname(name), file)) if file else name
            assert anchor == "" or anchor in pages[leads_to].anchors, target
            assert leads_to in pages


def test_a_page_loads_nothing_runs_nothing_and_allows_only_its_own_style() -> None:
    style = b64encode(sha256(STYLE.encode()).digest()).decode()
    for page in pages_of(published().open()).values():
        assert f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'" in page
        assert f"<style>{STYLE}</style>" in page
        assert "url(" not in page
        found = read(page)
        assert not found.tags & {"script", "img", "link", "iframe", "object", "form", "base", "svg"}
        assert not {name for name in found.attributes if name.startswith("on") or name == "style"}
        assert all(not re.match(r"[a-z]+:|//", target) for target in found.links)


def test_words_of_others_are_shown_and_never_at_work() -> None:
    memory = in_memory("144022010", catalogue=hostile_catalogue())
    memory.inbox.documents["<script>alert(2)</script>.json"] = b"{"
    take_in(memory.flywheel)
    judge_all(memory.flywheel)
    note_failure(memory.flywheel, "tide-clock", CLOCK, Cause.FAILED, FlywheelError(HOSTILE))
    pages = pages_of(memory.flywheel)
    plain = {name: read(page).tags for name, page in pages_of(published().open()).items()}
    for page in pages.values():
        found = read(page)
        assert found.tags <= set().union(*plain.values())
        assert not {name for name in found.attributes if name.startswith("on")}
        assert "\u202e" not in page, "nothing moves other words about"
    assert "<script>alert(1)</script>" in read(pages["outputs/tide-clock.html"]).words
    assert "<script>alert(2)</script>" in read(pages[INDEX]).words


def test_a_command_in_a_sentence_is_code_and_nothing_else_is_markup() -> None:
    assert text("Run `a <b>` & wait") == "Run <code>a &lt;b&gt;</code> &amp; wait"


def test_the_same_evidence_gives_the_same_bytes_at_another_time(memory: Memory) -> None:
    before = pages_of(memory.flywheel)
    memory.clock.move(days=3)
    assert pages_of(memory.but()) == before


def test_whose_turn_it_is_lists_each_actor_once_with_what_is_theirs(memory: Memory) -> None:
    page = read(pages_of(memory.flywheel)[INDEX])
    turns = page.words.partition("Outputs")[0]
    assert turns.count("Platform maintainers") == 1
    assert "build again from a clean checkout" in turns
    assert "14402201002" not in turns, "a pull request's build is nobody's turn"


def test_older_builds_go_to_pages_of_their_own_and_none_is_lost(memory: Memory) -> None:
    pages = pages_of(memory.flywheel, newest=3, on_a_page=2)
    names = [name for name in pages if name.startswith("outputs/tide-clock.")]
    assert names == [f"outputs/tide-clock{part}.html" for part in ("", ".2", ".3", ".4")]
    told = [re.findall(r"144022010\d\d\.1\.x86_64-linux", read(pages[name]).words) for name in names]
    assert [len(set(builds)) >= 1 for builds in told] == [True] * 4
    assert set().union(*map(set, told)) == {row[1] for row in SAMPLE_ROWS if row[0] == "tide-clock"}
    assert "pull-request" in read(pages[names[-2]]).words


def test_an_output_whose_evidence_cannot_be_read_says_so_and_the_others_are_told(memory: Memory) -> None:
    for entry in memory.evidence.entries("output-tide-clock"):
        memory.evidence.blobs[entry.evidence] = b"{}"
    pages = pages_of(memory.but())
    assert "evidence" in read(pages[INDEX]).words.lower()
    assert "chart-plotter" in read(pages[INDEX]).words
    assert "builders-disagree" in pages["outputs/chart-plotter.html"]


# The folder


def test_a_folder_is_written_once_and_then_only_what_changed(tmp_path: Path) -> None:
    write_pages(tmp_path / "page", {INDEX: mark("one"), "outputs/a.html": mark("a"), "outputs/b.html": mark("b")})
    before = (tmp_path / "page/outputs/a.html").stat().st_ino
    write_pages(tmp_path / "page", {INDEX: mark("two"), "outputs/a.html": mark("a")})
    assert (tmp_path / "page" / INDEX).read_text() == mark("two")
    assert (tmp_path / "page/outputs/a.html").stat().st_ino == before
    assert sorted(path.name for path in (tmp_path / "page").rglob("*")) == ["a.html", INDEX, "outputs"]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("my own page")
    with pytest.raises(UsageError, match="a folder of its own"):
        write_pages(tmp_path, {INDEX: mark("one")})
    assert (tmp_path / INDEX).read_text() == "my own page"
    assert list(tmp_path.iterdir()) == [tmp_path / INDEX]


def test_the_index_changes_last_and_what_is_over_goes_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pages(tmp_path / "page", {INDEX: mark("one"), "outputs/old.html": mark("old")})

    def killed_at_the_index(path: Path, data: bytes, *, synced: bool) -> bool:
        if path.name == INDEX:
            raise KeyboardInterrupt
        return write_atomically(path, data, synced=synced)

    monkeypatch.setattr("flywheel_assets.wiring.pages.write_atomically", killed_at_the_index)
    with pytest.raises(KeyboardInterrupt):
        write_pages(tmp_path / "page", {INDEX: mark("two"), "outputs/new.html": mark("new")})
    assert (tmp_path / "page" / INDEX).read_text() == mark("one")
    assert (tmp_path / "page/outputs/old.html").exists(), "what the old index leads to is still there"
    assert (tmp_path / "page/outputs/new.html").read_text() == mark("new")


def mark(words: str) -> str:
    return f"{MARK}{words}"
