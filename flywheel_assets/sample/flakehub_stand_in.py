"""A local stand-in for GitHub's workflows and for FlakeHub, so that the sample flywheel can publish a flake.

It keeps what it was told in a folder, and nothing in memory that a kill could lose. A run is queued, and moves on when
it is looked at: in progress, then completed, with its release. It checks no token, no signature and no source: what it
releases is what the dispatch named, as a flake of ``stand-in.invalid``: no reference to it passes for one to FlakeHub.
Shapes: GitHub REST API 2022-11-28, and the requests of FlakeHub's ``fh``.

``python -m flywheel_assets.sample.flakehub_stand_in FOLDER PORT`` serves it until it is ended;
``… FOLDER yank FLAKE VERSION`` yanks a release, served or not.
"""

import json
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from flywheel_assets.sample.stand_in_server import Json, Reply, server
from flywheel_assets.sample.stand_in_shelf import Shelf

FIRST_RUN = 9_000_001
ORGANISATION = "stand-in.invalid"  # no account can have the name, and no host
STEPS = ("queued", "in_progress", "completed")


class StandIn:
    """Both services under one address. ``folder`` holds ``state.json``, and ``faults`` where there are any."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self._shelf = Shelf(folder)
        self._server: ThreadingHTTPServer | None = None

    def start(self, port: int = 0) -> str:
        """Serve on 127.0.0.1, on a free port unless one is named; its base URL."""
        self._server = server(self.answer, port)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Serve no longer."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    # --- what a person would do at the services --------------------------------------------------

    def fault(self, name: str, times: int | None = None) -> None:
        """Make something of ``stand_in_shelf.FAULTS`` go wrong from now on, ``times`` times."""
        with self._shelf.held():
            self._shelf.let_go_wrong({**self._shelf.faults(), name: times})

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        with self._shelf.held():
            self._shelf.let_go_wrong({})

    def release(self, flake: str, version: str, revision: str, outputs: dict[str, str] | None = None) -> None:
        """Release a version by another way than a run."""
        with self._shelf.held():
            state = self._shelf.state()
            _add_release(state, flake, self._release(version, revision, outputs or {}))
            self._shelf.keep(state)

    def yank(self, flake: str, version: str) -> None:
        """Yank a release: it drops out of the list, and what is locked to it still finds it."""
        with self._shelf.held():
            state = self._shelf.state()
            state["releases"][flake][version]["yanked"] = True
            self._shelf.keep(state)

    def runs(self) -> list[dict[str, Json]]:
        """All runs ever started, the first one first: ``inputs`` are what each was started with."""
        with self._shelf.held():
            return list(self._shelf.state()["runs"].values())

    # --- the services ----------------------------------------------------------------------------

    def answer(self, method: str, target: str, body: bytes) -> Reply:
        """The answer to one request."""
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        with self._shelf.held():
            if parts[0] == "repos":
                return self._limited("limit") or self._github(method, parts[1:], parse_qs(url.query), body)
            return self._hub_trouble() or self._hub(method, parts)

    def _github(self, method: str, parts: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        state = self._shelf.state()
        match method, parts:
            case "GET", [owner, name]:
                return Reply(200, {"id": 1, "full_name": f"{owner}/{name}"})
            case "GET", [_, _, "actions", "workflows", file]:
                return Reply(200, {"id": 1, "path": f".github/workflows/{file}", "state": "active"})
            case "POST", [owner, name, "actions", "workflows", file, "dispatches"]:
                return self._dispatched(state, f"{owner}/{name}", file, body)
            case "GET", [owner, name, "actions", "workflows", file, "runs"]:
                return self._listed(state, f"{owner}/{name}", file, query)
            case _, [owner, name, "actions", "runs", number, *order]:
                return self._of_run(method, state, f"{owner}/{name}", number, order)
        return _none()

    def _dispatched(self, state: Json, repository: str, file: str, body: bytes) -> Reply:
        order = json.loads(body)
        unknown = set(order) - {"ref", "inputs", "return_run_details"}
        if self._shelf.strikes("error-before-dispatch"):
            return Reply(502, {"message": "Bad Gateway"})
        is_old = self._shelf.has("no-run-details")
        if is_old and "return_run_details" in order:
            unknown.add("return_run_details")
        if (
            unknown
            or self._shelf.strikes("refuse-dispatch")
            or not re.fullmatch(r"(?![0-9a-f]{40}$)[\w./-]+", order["ref"])
        ):
            return Reply(422, {"message": f"{', '.join(sorted(unknown)) or 'ref'} is not permitted"})
        inputs = order.get("inputs", {})
        number = FIRST_RUN + len(state["runs"])
        run = {
            "id": number,
            "repository": repository,
            "file": file,
            "ref": order["ref"],
            "inputs": inputs,
            "created": self._now(),
            "looks": 0,
            "conclusion": None,
        }
        state["runs"][str(number)] = run
        self._shelf.keep(state)
        if self._shelf.strikes("hang-up-after-dispatch"):
            return Reply(0, hang_up=True)
        if self._shelf.strikes("error-after-dispatch"):
            return Reply(502, {"message": "Bad Gateway"})
        if not order.get("return_run_details"):
            return Reply(204)
        told = _run(run)
        return Reply(200, {"workflow_run_id": number, "run_url": told["url"], "html_url": told["html_url"]})

    def _listed(self, state: Json, repository: str, file: str, query: dict[str, list[str]]) -> Reply:
        # GitHub's search syntax: a range, with both ends in it
        first, _, last = query.get("created", ["0001-01-01T00:00:00Z..9999-12-31T00:00:00Z"])[0].partition("..")
        since, until = datetime.fromisoformat(first), datetime.fromisoformat(last)
        found = [
            run
            for run in reversed(list(state["runs"].values()))
            if (run["repository"], run["file"]) == (repository, file)
            and since <= datetime.fromisoformat(run["created"]) <= until
        ]
        size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        shown = [_run(run) for run in found[(page - 1) * size : page * size]]
        return Reply(200, {"total_count": len(found), "workflow_runs": shown})

    def _of_run(self, method: str, state: Json, repository: str, number: str, order: list[str]) -> Reply:
        run = state["runs"].get(number)
        if run is None or run["repository"] != repository:
            return _none()
        if (method, order) == ("POST", ["cancel"]):
            return self._cancelled(state, run)
        return self._looked(state, run) if (method, order) == ("GET", []) else _none()

    def _looked(self, state: Json, run: Json) -> Reply:
        if run["conclusion"] is None:
            run["looks"] += 1
            if STEPS[run["looks"]] == "completed":
                self._complete(state, run)
            self._shelf.keep(state)
        return Reply(200, _run(run))

    def _cancelled(self, state: Json, run: Json) -> Reply:
        if run["conclusion"] is not None:
            return Reply(409, {"message": "Cannot cancel a workflow run that is completed."})
        run |= {"looks": STEPS.index("completed"), "conclusion": "cancelled"}
        self._shelf.keep(state)
        return Reply(202, {})

    def _complete(self, state: Json, run: Json) -> None:
        """End the run as the publishing workflow would: with its release, or without."""
        if self._shelf.strikes("cancel"):
            run["conclusion"] = "cancelled"
            return
        if self._shelf.strikes("fail"):
            run["conclusion"] = "failure"
            return
        inputs, flake = run["inputs"], f"{ORGANISATION}/{run['repository'].partition('/')[2]}"
        revision, path, version = inputs["revision"], inputs["store_path"], inputs["version"]
        if version == "rolling":
            version = _rolling(state["releases"].get(flake, {}), revision)
        if self._shelf.strikes("conflict"):
            _add_release(state, flake, self._release(version, "f" * 40, {}))
        if self._shelf.strikes("wrong-revision"):
            revision = "e" * 40
        if self._shelf.strikes("wrong-store-path"):
            path = path[:11] + "0" * 32 + path[43:]
        outputs = {} if self._shelf.strikes("without-outputs") else {inputs["attribute"]: path}
        if version in state["releases"].get(flake, {}):
            run["conclusion"] = "failure"  # the upload's 409, by the workflow's `error-on-conflict`
            return
        _add_release(state, flake, self._release(version, revision, outputs))
        run["conclusion"] = "success"

    def _hub_trouble(self) -> Reply | None:
        if self._shelf.strikes("hub-down"):
            return Reply(503, {"error": "unavailable"})
        return Reply(429, {}, (("Retry-After", "30"),)) if self._shelf.strikes("hub-limit") else None

    def _limited(self, fault: str) -> Reply | None:
        if not self._shelf.strikes(fault):
            return None
        return Reply(403, {"message": "You have exceeded a secondary rate limit."}, (("Retry-After", "30"),))

    def _hub(self, method: str, parts: list[str]) -> Reply:
        state = self._shelf.state()
        match method, parts:
            case "GET", ["f", org, flake, "releases"]:
                found = state["releases"].get(f"{org}/{flake}")
                return _none() if found is None else Reply(200, self._shown(list(found.values())))
            case "GET", ["version", org, flake, wanted]:
                release = state["releases"].get(f"{org}/{flake}", {}).get(wanted.removeprefix("="))
                if release is None or (not release["yanked"] and self._shelf.strikes("late-release")):
                    return _none()
                told = {"project": flake, "version": release["version"]}
                is_short = self._shelf.has("version-without-revision")
                return Reply(200, told if is_short else {**told, "revision": release["revision"]})
            case "GET", ["f", org, flake, wanted, "output", attribute]:
                release = state["releases"].get(f"{org}/{flake}", {}).get(wanted.removeprefix("="), {})
                path = release.get("outputs", {}).get(attribute)
                return Reply(200, {"attribute_path": attribute, "store_path": path}) if path else _none()
        return _none()

    def _shown(self, releases: list[Json]) -> list[Json]:
        """Newest first, without what is yanked."""
        listed = [each for each in reversed(releases) if not each["yanked"]]
        if listed and self._shelf.strikes("late-release"):
            listed = listed[1:]
        return [
            {
                "version": each["version"],
                "simplified_version": each["version"].partition("+")[0],
                "revision": each["revision"],
                "published_at": each["published_at"],
                "updated_at": None,
                "commit_count": 1,
            }
            for each in listed
        ]

    def _release(self, version: str, revision: str, outputs: dict[str, str]) -> Json:
        made = {"version": version, "revision": revision, "outputs": outputs}
        return {**made, "published_at": self._now(), "yanked": False}

    def _now(self) -> str:
        return self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _run(run: Json) -> dict[str, Json]:
    """A run as GitHub tells of it. Its workflow's ``run-name`` holds version and request."""
    inputs, place = run["inputs"], f"{run['repository']}/actions/runs/{run['id']}"
    return {
        "id": run["id"],
        "name": "Release to FlakeHub",
        "display_title": f"Release {inputs.get('version', '')} to FlakeHub ({inputs.get('request', '')})",
        "path": f".github/workflows/{run['file']}@{run['ref']}",
        "event": "workflow_dispatch",
        "status": STEPS[run["looks"]],
        "conclusion": run["conclusion"],
        "run_attempt": 1,
        "head_branch": run["ref"],
        "created_at": run["created"],
        "updated_at": run["created"],
        "url": f"https://{ORGANISATION}/repos/{place}",
        "html_url": f"https://{ORGANISATION}/{place}",
    }


def _add_release(state: Json, flake: str, release: Json) -> None:
    """Unless the version is there: FlakeHub replaces nothing."""
    state["releases"].setdefault(flake, {}).setdefault(release["version"], release)


def _rolling(releases: Json, revision: str) -> str:
    """One version for each revision: its count of commits is its own."""
    same = (version for version in releases if version.endswith(f"+rev-{revision}"))
    return next(same, f"0.1.{len(releases) + 1}+rev-{revision}")


def _none() -> Reply:
    return Reply(404, {"message": "Not Found"})


if __name__ == "__main__":
    here, order = StandIn(Path(sys.argv[1])), sys.argv[2:]
    if order[0] == "yank":
        here.yank(*order[1:])
    else:
        server(here.answer, int(order[0])).serve_forever()
