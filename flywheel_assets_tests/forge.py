"""A forge as a state that changes over time, and its two faces over HTTP: GitHub's API and GitLab's.

Runs start, end in any order, are re-run and deleted; artifacts expire; calls fail, and limits strike.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode
from zipfile import ZIP_DEFLATED, ZipFile

from flywheel_assets_tests.fakes import FakeClock
from flywheel_assets_tests.scripted import Answer, Asked, Scripted, serving

REPOSITORY = "https://forge.example/harbour/tide-clock"
PAGE = 100


@dataclass
class Left:
    """An artifact: its archive, and whether the forge still has it."""

    id: int
    name: str
    archive: bytes
    is_expired: bool = False
    is_gone: bool = False
    is_refused: bool = False
    media_type: str = "application/zip"
    made: datetime | None = None

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.archive).hexdigest()}"


@dataclass
class Attested:
    """An attestation: its bundle, in the list itself as older servers send it or elsewhere, as ``packing`` says.

    Packed are "snappy", said by its media type, and "suffix", by its name alone. ``blob`` stands for what lies there,
    where it is no packed bundle.
    """

    bundle: bytes
    packing: str = "snappy"
    blob: Answer | None = None


@dataclass
class ForgeRun:
    """A run; ``attempts`` holds how each ended, the last one empty while it goes on, ``times`` when it began and ended.

    ``elsewhere`` are jobs besides the one on ``label``: their labels, runners ("" for none) and endings.
    """

    id: int
    created: datetime
    updated: datetime
    sha: str = "a" * 40
    branch: str = "main"
    is_tag: bool = False
    event: str = "push"
    actor: str = "ines"
    fork: str = ""  # its URL, or "deleted"
    label: str = "nix-lane"
    attempts: list[str] = field(default_factory=lambda: [""])
    times: list[tuple[datetime, datetime]] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    artifacts: list[Left] = field(default_factory=list)
    elsewhere: list[tuple[str, str, str]] = field(default_factory=list)
    runner: str = "runner-1"
    workflow: str = ".github/workflows/build.yml"


def archive(**documents: bytes) -> bytes:
    """A zip archive of these JSON documents, by name without suffix."""
    target = BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as made:
        for name, data in documents.items():
            made.writestr(f"{name}.json", data)
    return target.getvalue()


def packed(data: bytes) -> bytes:
    """A Snappy block of literals alone."""
    size, length = len(data), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    pieces = [data[at : at + 0x10000] for at in range(0, len(data), 0x10000)]
    literals = [b"\xf4" + (len(piece) - 1).to_bytes(2, "little") + piece for piece in pieces]
    return bytes([*length, size]) + b"".join(literals)


@dataclass
class Forge:
    """The state. ``fail_every`` makes each so-manieth call fail; ``limit`` refuses all calls the way it says."""

    clock: FakeClock = field(default_factory=FakeClock)
    repository: str = REPOSITORY
    runs: dict[int, ForgeRun] = field(default_factory=dict)
    fail_every: int = 0
    limit: Answer | None = None
    token: str = ""
    is_hidden: bool = False
    with_etags: bool = True
    tags: dict[str, str] = field(default_factory=dict)  # the revisions of tags, and of objects that are one
    committed: dict[str, datetime] = field(default_factory=dict)
    number: int = 7
    called: str = ""  # the repository, when it was renamed
    hidden_on_pages: int = 0
    calls: int = 0
    unchanged: int = 0
    attested: dict[str, list[Attested]] = field(default_factory=dict)
    shows_attestations: bool = True
    attestations_at_once: int = 100
    url: str = ""
    asked: list[str] = field(default_factory=list)
    _numbers: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def name(self) -> str:
        """Owner and name of the repository."""
        return self.repository.partition("://")[2].partition("/")[2]

    def start(self, **fields: Any) -> ForgeRun:
        self._numbers += 1
        run = ForgeRun(1000 + self._numbers, self.clock(), self.clock(), **fields)
        run.times.append((self.clock(), self.clock()))
        self.runs[run.id] = run
        return run

    def end(self, run: ForgeRun, conclusion: str = "success") -> None:
        run.attempts[-1] = conclusion
        run.updated = self.clock()
        run.times[-1] = (run.times[-1][0], self.clock())

    def run_again(self, run: ForgeRun) -> None:
        run.attempts.append("")
        run.updated = self.clock()
        run.times.append((self.clock(), self.clock()))

    def leave(self, run: ForgeRun, name: str = "receipt", **documents: bytes) -> Left:
        self._numbers += 1
        left = Left(self._numbers, name, archive(**documents), made=self.clock())
        run.artifacts.append(left)
        return left

    def attest(self, digest: str, bundle: bytes, **fields: Any) -> Attested:
        """Keep a bundle about what has this SHA-256 (hex)."""
        made = Attested(bundle, **fields)
        self.attested.setdefault(digest, []).append(made)
        return made

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.calls += 1
            self.asked.append(asked.path)
            if asked.path.startswith(("/blobs/", "/attested/")):
                return self._elsewhere(asked.path)
            if self.limit is not None:
                return self.limit
            if self.token and asked.headers.get("Authorization") != f"Bearer {self.token}":
                return Answer(401)
            if self.fail_every and self.calls % self.fail_every == 0:
                return Answer(502)
            if self.is_hidden:
                return Answer(404)
            return self._marked(asked, self.shown(unquote(asked.path), parse_qs(asked.target.partition("?")[2])))

    def shown(self, path: str, query: dict[str, list[str]]) -> Answer:
        """The answer of this face."""
        raise NotImplementedError

    def _elsewhere(self, path: str) -> Answer:
        """What lies on the host of blobs."""
        if path.startswith("/attested/"):
            return self._kept(*path.split("/")[2:4])
        return self._blob(int(path.rpartition("/")[2]))

    def _blob(self, number: int) -> Answer:
        left = next(each for run in self.runs.values() for each in run.artifacts if each.id == number)
        return Answer(200, {"Content-Type": left.media_type}, left.archive)

    def _kept(self, digest: str, number: str) -> Answer:
        kept = self.attested[digest][int(number.partition(".")[0])]
        headers = {"Content-Type": "application/x-snappy"} if kept.packing == "snappy" else {}
        is_packed = kept.packing in {"snappy", "suffix"}
        return kept.blob or Answer(200, headers, packed(kept.bundle) if is_packed else kept.bundle)

    def _marked(self, asked: Asked, answer: Answer) -> Answer:
        if not self.with_etags or answer.status != 200 or not isinstance(answer.body, bytes):
            return answer
        etag = f'"{hashlib.sha256(answer.body).hexdigest()[:16]}"'
        if asked.headers.get("If-None-Match") == etag:
            self.unchanged += 1
            return Answer(304, {"ETag": etag})
        return Answer(200, {**answer.headers, "ETag": etag}, answer.body)

    def _left(self, number: int) -> Answer:
        found = [each for run in self.runs.values() for each in run.artifacts if each.id == number]
        if not found or found[0].is_gone:
            return Answer(404)
        if found[0].is_refused:
            return Answer(403)
        return Answer(410) if found[0].is_expired else Answer(302, {"Location": f"/blobs/{number}"})


class Github(Forge):
    """GitHub's face."""

    def shown(self, path: str, query: dict[str, list[str]]) -> Answer:
        parts = path.removeprefix(f"/repos/{self.name}").strip("/").split("/")
        match parts:
            case [""]:
                return _json({"id": self.number, "full_name": self.name})
            case ["git", *rest]:
                return self._git(rest)
            case ["attestations", digest]:
                assert query["predicate_type"] == ["https://slsa.dev/provenance/v1"]
                return self._attestations(digest.removeprefix("sha256:"), query, path)
            case ["actions", *rest]:
                return self._shown(rest, query)
        return Answer(404)

    def _shown(self, parts: list[str], query: dict[str, list[str]]) -> Answer:
        match parts:
            case ["runs"]:
                return self._list(query)
            case ["runs", number, "attempts", attempt, *rest]:
                return self._attempt(int(number), int(attempt), is_about_jobs=rest == ["jobs"])
            case ["runs", number, "artifacts"]:
                kept = [self._artifact(each) for each in self.runs[int(number)].artifacts if not each.is_gone]
                page = int(query["page"][0])
                return _json({"total_count": len(kept), "artifacts": kept[(page - 1) * PAGE : page * PAGE]})
            case ["artifacts", number, "zip"]:
                return self._left(int(number))
        return Answer(404)

    def _attestations(self, digest: str, query: dict[str, list[str]], path: str) -> Answer:
        """A page of them; ``after`` is the cursor, which only the header `Link` of the page before tells."""
        if not self.shows_attestations:
            return Answer(403)
        start = int(query.get("after", ["0"])[0])
        end = start + min(int(query["per_page"][0]), self.attestations_at_once)
        kept = self.attested.get(digest, [])[start:end]
        if not kept and not start:
            return Answer(404)
        entries: list[dict[str, Any]] = []
        for number, each in enumerate(kept, start):
            entry: dict[str, Any] = {"repository_id": 7, "bundle": None, "initiator": "user"}
            if each.packing == "inline":
                entry["bundle"] = json.loads(each.bundle)
            elif each.packing != "nowhere":
                suffix = "json.sn" if each.packing == "suffix" else "json"
                entry["bundle_url"] = f"{self.url}/attested/{digest}/{number}.{suffix}?sig=s3cret"
            entries.append(entry)
        following = f"{path}?{urlencode({**query, 'after': [str(end)]}, doseq=True)}"
        more = {"Link": f'<{following}>; rel="next"'} if end < len(self.attested[digest]) else {}
        found = _json({"attestations": entries})
        return Answer(found.status, {**found.headers, **more}, found.body)

    def _attempt(self, number: int, attempt: int, *, is_about_jobs: bool) -> Answer:
        run = self.runs.get(number)
        if run is None or attempt > len(run.attempts):
            return Answer(404)
        if is_about_jobs:
            jobs = self._all_jobs(run, attempt)
            return _json({"total_count": len(jobs), "jobs": jobs})
        return _json(self._run(run, attempt))

    def _list(self, query: dict[str, list[str]]) -> Answer:
        created, page = query["created"][0], int(query["page"][0])
        floor, _, upper = created.removeprefix(">=").partition("..")
        low, high = _at(floor), _at(upper) if upper else datetime.max.replace(tzinfo=UTC)
        found = [run for run in self.runs.values() if low <= run.created.replace(microsecond=0) <= high]
        found.sort(key=lambda run: (run.created, run.id), reverse=True)
        assert page <= 10, "GitHub shows no more than 1,000 runs of a search"
        end = page * PAGE - self.hidden_on_pages
        shown = [self._run(run, len(run.attempts)) for run in found[(page - 1) * PAGE : end]]
        return _json({"total_count": len(found), "workflow_runs": shown})

    def _run(self, run: ForgeRun, attempt: int) -> dict[str, Any]:
        conclusion = run.attempts[attempt - 1]
        head: dict[str, Any] | None = {"id": self.number, "html_url": self.repository}
        start, _ = run.times[attempt - 1]
        if run.fork:
            head = None if run.fork == "deleted" else {"id": 8, "html_url": run.fork}
        return {
            "id": run.id,
            "run_attempt": attempt,
            "path": run.workflow,
            "status": "completed" if conclusion else "in_progress",
            "conclusion": conclusion or None,
            "head_sha": run.sha,
            "head_branch": run.branch,
            "event": run.event,
            "actor": {"login": run.actor},
            "triggering_actor": {"login": run.actor},
            "repository": {"id": self.number, "html_url": self.called or self.repository},
            "head_repository": head,
            "created_at": _text(run.created),
            "run_started_at": _text(start),
            "updated_at": _text(run.updated),
        }

    def _job(self, run: ForgeRun, attempt: int) -> dict[str, Any]:
        steps = [
            {"number": number, "name": name, "status": "completed", "conclusion": ending}
            for number, (name, ending) in enumerate(run.steps.items(), start=1)
        ]
        start, end = run.times[attempt - 1]
        return {
            "id": run.id * 100 + attempt,
            "name": "build",
            "labels": ["self-hosted", run.label],
            "runner_id": 3,
            "runner_name": run.runner,
            "conclusion": run.attempts[attempt - 1] or None,
            "started_at": _text(start),
            "completed_at": _text(end),
            "steps": steps,
        }

    def _all_jobs(self, run: ForgeRun, attempt: int) -> list[dict[str, Any]]:
        jobs = [self._job(run, attempt)]
        for number, (label, runner, conclusion) in enumerate(run.elsewhere, start=1):
            told = {"id": run.id * 100 + 50 + number, "name": f"other-{number}", "labels": [label], "steps": []}
            told |= {"runner_id": 4 if runner else 0, "runner_name": runner, "conclusion": conclusion}
            jobs.append({**jobs[0], **told})
        return jobs

    def _git(self, parts: list[str]) -> Answer:
        match parts:
            case ["ref", "tags", *name] if "/".join(name) in self.tags:
                found = self.tags["/".join(name)]
                return _json({"ref": "x", "object": {"sha": found, "type": "tag" if found in self.tags else "commit"}})
            case ["tags", sha] if sha in self.tags:
                return _json({"sha": sha, "object": {"sha": self.tags[sha], "type": "commit"}})
            case ["commits", sha] if sha in self.committed:
                return _json({"sha": sha, "committer": {"date": _text(self.committed[sha])}})
        return Answer(404)

    def _artifact(self, left: Left) -> dict[str, Any]:
        return {
            "id": left.id,
            "name": left.name,
            "size_in_bytes": len(left.archive),
            "expired": left.is_expired,
            "digest": left.digest,
            "created_at": _text(left.made) if left.made else None,
        }


class Gitlab(Forge):
    """GitLab's face: a job for each step, and one for each artifact."""

    def shown(self, path: str, query: dict[str, list[str]]) -> Answer:
        parts = path.removeprefix(f"/projects/{self.name}").strip("/").split("/")
        match parts:
            case [""]:
                return _json({"id": 7})
            case ["pipelines"]:
                return self._list(query)
            case ["pipelines", number]:
                run = self.runs.get(int(number))
                return Answer(404) if run is None else _json(self._pipeline(run))
            case ["pipelines", number, "jobs"]:
                return _json(self._jobs(self.runs[int(number)]))
            case ["jobs", number, "artifacts"]:
                return self._left(int(number))
        return Answer(404)

    def _list(self, query: dict[str, list[str]]) -> Answer:
        low, high = _at(query["updated_after"][0]), _at(query.get("updated_before", ["9999-01-01T00:00:00Z"])[0])
        found = [run for run in self.runs.values() if low < run.updated < high]
        found.sort(key=lambda run: (run.updated, run.id), reverse=True)
        page = int(query["page"][0])
        return _json([self._pipeline(run) for run in found[(page - 1) * PAGE : page * PAGE]])

    def _pipeline(self, run: ForgeRun) -> dict[str, Any]:
        status = run.attempts[-1].replace("failure", "failed") or "running"
        return {
            "id": run.id,
            "status": status,
            "project_id": self.number,
            "web_url": f"{self.called or self.repository}/-/pipelines/{run.id}",
            "sha": run.sha,
            "ref": run.branch,
            "tag": run.is_tag,
            "source": run.event,
            "user": {"username": run.actor},
            "created_at": _text(run.created),
            "started_at": _text(run.created),
            "finished_at": _text(run.updated) if run.attempts[-1] else None,
            "updated_at": run.updated.isoformat(),
        }

    def _jobs(self, run: ForgeRun) -> list[dict[str, Any]]:
        steps = run.steps or {"build": run.attempts[-1] or "running"}
        jobs = [self._job(run, number, name, ending) for number, (name, ending) in enumerate(steps.items(), start=1)]
        for left in run.artifacts:
            job = self._job(run, left.id, left.name, "success")
            if not left.is_gone:
                job["artifacts_expire_at"] = _text(run.updated + timedelta(days=1))
                if not left.is_expired:
                    job["artifacts_file"] = {"filename": "artifacts.zip", "size": len(left.archive)}
            jobs.append(job)
        return jobs

    def _job(self, run: ForgeRun, number: int, name: str, ending: str) -> dict[str, Any]:
        return {
            "id": number,
            "name": name,
            "status": ending.replace("failure", "failed"),
            "tag_list": [run.label],
            "runner": {"id": 3, "description": run.runner},
            "user": {"username": run.actor},
            "started_at": _text(run.created),
            "finished_at": _text(run.updated),
        }


@contextmanager
def served(forge: Forge) -> Iterator[Scripted]:
    """The forge on a port of this machine."""
    scripted = Scripted()
    scripted.otherwise = forge.answer
    with serving(scripted) as server:
        forge.url = server.url
        yield server


def _json(value: object) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def _text(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
