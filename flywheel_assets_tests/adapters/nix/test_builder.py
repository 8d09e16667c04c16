"""What a builder asks of Nix, in every shape that versions of Nix answer in."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.nix.builder import closure_of, derivation_outputs, read_path_info
from flywheel_assets.domain.digests import NarHash
from flywheel_assets.domain.errors import InvalidInputError, UnreadableError, UsageError
from flywheel_assets.domain.names import store_path_base
from flywheel_assets_tests.adapters.nix.making import closure, made, store_path

LIB = made("lib")
APP = made("app", [LIB.path, store_path("app")])
WANTED = closure(APP, LIB)
SRI = {one.path: "sha256-" + base64.b64encode(bytes.fromhex(NarHash.of(one.body).hex)).decode() for one in (APP, LIB)}


def info(one: Any, **changes: Any) -> dict[str, Any]:
    return {
        "narHash": SRI[one.path],
        "narSize": len(one.body),
        "references": list(one.references),
        "registrationTime": 1,
        **changes,
    }


def old() -> list[dict[str, Any]]:
    """Nix 2.8."""
    return [{"path": one.path, **info(one, narHash=NarHash.of(one.body).nix32)} for one in (APP, LIB)]


def by_path() -> dict[str, Any]:
    """Nix 2.26."""
    return {one.path: info(one, deriver=None) for one in (LIB, APP)}


def format_2() -> dict[str, Any]:
    """Nix 2.33, --json-format 2."""

    def entry(one: Any) -> dict[str, Any]:
        digest = {"algorithm": "sha256", "format": "base64", "hash": SRI[one.path].removeprefix("sha256-")}
        return info(one, narHash=digest, references=[store_path_base(path) for path in one.references], version=2)

    return {"version": 2, "info": {store_path_base(one.path): entry(one) for one in (LIB, APP)}}


@pytest.mark.parametrize("shape", [old, by_path, format_2])
def test_every_shape_gives_the_same_closure(shape: Any) -> None:
    found = read_path_info(json.dumps(shape()).encode())
    assert found.root == WANTED.root
    assert found.by_path == WANTED.by_path
    assert found.deriver is None


def test_the_deriver_of_the_root_is_kept_and_an_unknown_one_is_none() -> None:
    answer = {LIB.path: info(LIB, deriver=store_path("lib.drv"))}
    assert read_path_info(json.dumps(answer).encode()).deriver == store_path("lib.drv")
    answer = {LIB.path: info(LIB, deriver="unknown-deriver")}
    assert read_path_info(json.dumps(answer).encode()).deriver is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b"3",
        b'"x"',
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        json.dumps({APP.path: None}).encode(),
        json.dumps([{"path": APP.path, "valid": False}]).encode(),
        json.dumps({LIB.path: info(LIB, narHash="md5:00")}).encode(),
        json.dumps({LIB.path: info(LIB, narHash={"algorithm": "sha256"})}).encode(),
        json.dumps({LIB.path: info(LIB, narSize=0)}).encode(),
        json.dumps({"/gnu/store/x": info(LIB)}).encode(),
        json.dumps({LIB.path: info(LIB), store_path("x"): info(LIB)}).encode(),
    ],
)
def test_any_other_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_path_info(answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(LIB.path),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["info", "path", "narHash", "references", LIB.path, "x"]), inner, max_size=3)
    ),
)


@given(JSON)
def test_any_json_is_a_closure_or_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError):
        read_path_info(json.dumps(value).encode())


def fake_nix(folder: Path, script: str) -> tuple[str]:
    path = folder / "nix"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return (str(path),)


def test_nix_is_asked_for_the_recursive_closure_of_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answer").write_text(json.dumps(by_path()), encoding="utf-8")
    nix = fake_nix(tmp_path, 'printf "%s\\n" "$@" > asked; cat answer')
    assert closure_of("result", nix, ("--store", "/s p")).root == APP.path
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert asked[2:] == ["path-info", "--json", "--recursive", "--store", "/s p", f"{tmp_path}/result"]
    closure_of(APP.path, nix)
    assert (tmp_path / "asked").read_text(encoding="utf-8").splitlines()[-1] == APP.path


def test_the_last_words_of_a_nix_that_fails_are_passed_on(tmp_path: Path) -> None:
    nix = fake_nix(tmp_path, "echo warning >&2; echo 'error: path is not valid' >&2; exit 1")
    with pytest.raises(UnreadableError, match=r"ended with status 1: error: path is not valid$"):
        closure_of(APP.path, nix)


def test_a_nix_that_hangs_or_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"took over 0\.1 s"):
        closure_of(APP.path, fake_nix(tmp_path, "exec sleep 20"), timeout_seconds=0.1)
    with pytest.raises(UnreadableError, match="Put Nix on PATH"):
        closure_of(APP.path, (str(tmp_path / "absent"),))


@pytest.mark.parametrize("text", ["", "--help", "a\nb", "a\0b"])
def test_what_cannot_be_a_path_never_reaches_nix(text: str) -> None:
    with pytest.raises(UsageError):
        closure_of(text, ("/absent",))


def test_the_outputs_of_a_derivation_are_asked_of_the_store(tmp_path: Path) -> None:
    nix = fake_nix(tmp_path, 'echo "$@" >"$(dirname "$0")/asked"; echo /nix/store/a; echo /nix/store/b')
    drv = store_path("app.drv")
    assert derivation_outputs(drv, nix) == ("/nix/store/a", "/nix/store/b")
    assert (tmp_path / "asked").read_text(encoding="utf-8") == f"--query --outputs {drv}\n"
    with pytest.raises(UnreadableError, match=r"--outputs /nix/store/\S+ ended with status 3: no such"):
        derivation_outputs(drv, fake_nix(tmp_path, "echo no such >&2; exit 3"))
    with pytest.raises(UsageError):
        derivation_outputs("--help", nix)
