"""The plugin that keeps tests of real parts from vanishing, tried on small test suites of its own.

And of `make peers` what it says of a part that cannot be had.
"""

import json
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "peers"

NEEDS_NIX = """
    import pytest

    @pytest.fixture
    def builder():
        raise AssertionError("set up although nix is missing")

    @pytest.mark.peer("nix")
    def test_builds(builder):
        pass

    def test_needs_nothing():
        pass
"""
SECTION = "*not run: real part missing*"


@pytest.fixture(autouse=True)
def bare_machine(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite that knows the plugin, on a machine with nothing on PATH, out of CI."""
    monkeypatch.delenv("CI", raising=False)
    (pytester.path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(pytester.path / "bin"))
    # Its own ini file, for the plugin looks for peers.json from the root that this makes.
    pytester.makeini("[pytest]\naddopts = --strict-markers")
    pytester.makeconftest('pytest_plugins = ["flywheel_assets_tests.peers"]')


def program(pytester: pytest.Pytester, name: str) -> Path:
    path = pytester.path / "bin" / name
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def report(pytester: pytest.Pytester, **found: dict[str, str]) -> None:
    folder = pytester.path / ".venv"
    folder.mkdir()
    (folder / "peers.json").write_text(json.dumps(found), encoding="utf-8")


def test_without_its_part_a_test_is_not_run_and_is_listed_with_the_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=NEEDS_NIX)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines([SECTION, "test_it.py::test_builds: nix is not on PATH*"])
    assert result.ret == pytest.ExitCode.OK


def test_in_ci_a_test_without_its_part_fails_with_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(test_it=NEEDS_NIX)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "not run: real part missing: nix is not on PATH*",
            SECTION,
            "test_it.py::test_builds: nix is not on PATH*",
        ]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_reason_is_the_one_that_make_peers_wrote_down(pytester: pytest.Pytester) -> None:
    report(pytester, nix={"missing": "The mirror has no nix-bin."})
    pytester.makepyfile(test_it=NEEDS_NIX)
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines(["test_it.py::test_builds: The mirror has no nix-bin.*"])


def test_with_its_part_on_path_a_test_runs_and_nothing_is_listed(pytester: pytest.Pytester) -> None:
    program(pytester, "nix")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.peer("nix")
        def test_builds(peer_path):
            assert peer_path("nix").name == "nix"
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line(SECTION)


def test_a_path_that_make_peers_wrote_down_is_preferred_to_path(pytester: pytest.Pytester) -> None:
    report(pytester, chromium={"path": str(program(pytester, "google-chrome")), "version": "1"})
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.peer("chromium")
        def test_browses(peer_path):
            assert peer_path("chromium").name == "google-chrome"
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_part_that_was_removed_since_counts_as_missing(pytester: pytest.Pytester) -> None:
    report(pytester, nix={"path": str(pytester.path / "gone"), "version": "1"})
    pytester.makepyfile(test_it=NEEDS_NIX)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*nix is no longer at *gone*"])


def test_each_missing_part_of_several_is_named(pytester: pytest.Pytester) -> None:
    program(pytester, "skopeo")
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.peer("nix")

        @pytest.mark.peer("skopeo", "bazel")
        class TestAll:
            @pytest.mark.parametrize("size", [1, 2])
            def test_copies(self, size):
                pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(skipped=2)
    for size in (1, 2):
        result.stdout.fnmatch_lines([f"*::TestAll::test_copies[[]{size}]: bazel is not*nix is not*"])
    result.stdout.no_fnmatch_line("*skopeo is not*")


def test_a_test_that_was_not_selected_is_not_listed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=NEEDS_NIX)
    result = pytester.runpytest_inprocess("-m", "not peer")
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.no_fnmatch_line(SECTION)


def test_a_mark_that_names_nothing_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.peer
        def test_builds():
            pass
        """
    )
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_builds: mark it with the names of parts*"])


def test_an_unmarked_test_that_asks_for_a_missing_part_fails_and_is_told_the_mark(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        def test_builds(peer_path):
            peer_path("nix")
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is to be marked with @pytest.mark.peer('nix')*"])


def test_a_part_that_is_built_with_go_is_missing_without_go_and_its_reason_says_so(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    script["built"].__globals__["BUILT"] = tmp_path
    part = script["GoPart"]("crane", "example.org/crane", "v1.0.0", "/cmd/crane")
    assert script["built"](part) == {"missing": "crane v1.0.0 is built with Go, and go is not on PATH."}


def test_a_part_that_was_built_at_the_pinned_version_is_taken_and_at_another_one_is_not(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    script["built"].__globals__["BUILT"] = tmp_path
    (tmp_path / "crane@v1.0.0").touch()
    built = [script["built"](script["GoPart"]("crane", "example.org/crane", v, "")) for v in ("v1.0.0", "v1.0.1")]
    assert built[0] == {"path": str(tmp_path / "crane@v1.0.0"), "version": "v1.0.0"}
    assert "missing" in built[1]


def test_a_part_that_go_cannot_build_is_missing_with_what_go_said(pytester: pytest.Pytester, tmp_path: Path) -> None:
    go = program(pytester, "go")
    go.write_text(
        "#!/bin/sh\nprintf 'go: downloading x\\nx@v1: 403 Forbidden\\n\\tserver response: no\\n' >&2; exit 1\n"
    )
    script = runpy.run_path(str(SCRIPT))
    script["built"].__globals__["BUILT"] = tmp_path / "peers"
    part = script["GoPart"]("zot", "example.org/zot", "v1.0.0", "")
    assert script["built"](part) == {"missing": "zot v1.0.0 could not be built: x@v1: 403 Forbidden."}
    assert list((tmp_path / "peers").iterdir()) == []


def test_a_part_that_npm_cannot_install_is_missing_with_what_npm_said(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    npm = program(pytester, "npm")
    npm.write_text("#!/bin/sh\necho 'npm error code E403.' >&2; exit 1\n")
    script = runpy.run_path(str(SCRIPT))
    script["fetched"].__globals__["BUILT"] = tmp_path / "peers"
    part = script["NpmPart"]("prism", "1.0.0", ("prism@1.0.0",))
    assert script["fetched"](part) == {"missing": "prism 1.0.0 could not be installed: npm error code E403."}
    assert list((tmp_path / "peers").iterdir()) == []


def test_a_part_that_npm_installs_is_whole_or_not_there_and_runs_none_of_its_scripts(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    npm = program(pytester, "npm")
    npm.write_text(
        '#!/bin/sh\necho "$@" > %s\n/bin/mkdir -p "$3/node_modules/.bin"\n: > "$3/node_modules/.bin/prism"\n'
        % (tmp_path / "asked")
    )
    script = runpy.run_path(str(SCRIPT))
    script["fetched"].__globals__["BUILT"] = tmp_path / "peers"
    part = script["NpmPart"]("prism", "1.0.0", ("prism@1.0.0",))
    assert script["fetched"](part) == {"path": str(part.program), "version": "1.0.0"}
    assert part.program.exists()
    assert "--ignore-scripts" in (tmp_path / "asked").read_text()
    assert [path.name for path in (tmp_path / "peers").iterdir()] == ["prism@1.0.0"]
