"""A registry that says what a test makes it say: what is read, what is refused, what is sent where."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials, Secret
from flywheel_assets.adapters.oci.registry import ACCEPT, Registry, RegistryRepository
from flywheel_assets.adapters.oci.source import OciStaging
from flywheel_assets.adapters.oci.surface import OciSurface
from flywheel_assets.domain.digests import BlobDigest, ManifestDigest
from flywheel_assets.domain.errors import (
    AbsentError,
    FlywheelError,
    InvalidInputError,
    LedAstrayError,
    LimitExceededError,
    NameTakenError,
    PublicationError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
)
from flywheel_assets.domain.inspections import Reading, ReadState
from flywheel_assets.domain.limits import MIB, Limits
from flywheel_assets_tests.adapters.oci.images import (
    MANIFEST,
    PLATFORMS,
    REPOSITORY,
    blob_file,
    digest_of,
    image_of,
    layouts,
    make_image,
    nothing,
    put_index,
    put_manifest,
    release_of,
    seal,
)
from flywheel_assets_tests.scripted import Answer, Asked, Scripted, serving

DATA = b"content" * 1000
BLOB, SIZE = BlobDigest.of(DATA), len(DATA)
AT = f"/v2/a/b/blobs/{BLOB}"
BEARER = Credentials(bearer=Secret("opens-nothing"))


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for is for other tests to say."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def repository(scripted: Scripted, *hosts: str, credentials: Credentials = ANONYMOUS) -> RegistryRepository:
    return Registry(scripted.url, credentials, hosts, sleep=nothing_passes).repository("a/b")


def nothing_passes(seconds: float) -> None:
    """No time is spent."""


def challenged(scripted: Scripted) -> None:
    """The registry asks for a bearer token first, so that the credential is shown from then on."""

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("Authorization") != "Bearer opens-nothing":
            return Answer(401, {"WWW-Authenticate": 'Bearer realm="https://nowhere.invalid/"'})
        return Answer(404)

    scripted.otherwise = answer


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """One answer after the other; the last one stays."""
    left = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda asked: next(left)


# --- reading ---


def test_a_repository_lies_below_the_path_of_its_registry(scripted: Scripted) -> None:
    found = Registry(f"{scripted.url}/team").repository("a")
    assert found.place == f"127.0.0.1:{scripted.port}/team/a"
    assert found.reference(BLOB) == f"{found.place}@{BLOB}"
    assert found.blob_size(BLOB) is None
    assert scripted.asked[0].path == f"/v2/team/a/blobs/{BLOB}"


def test_sizes_come_from_headers(scripted: Scripted) -> None:
    scripted.answers[f"HEAD {AT}"] = Answer(length=SIZE)
    assert repository(scripted).blob_size(BLOB) == SIZE
    scripted.answers[f"HEAD {AT}"] = Answer(body=iter(()))
    with pytest.raises(InvalidInputError, match="Content-Length"):
        repository(scripted).blob_size(BLOB)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(401), UnauthorisedError),
        (Answer(403), UnauthorisedError),
        (Answer(404), AbsentError),
        (Answer(429), RateLimitedError),
        (Answer(503), UnreadableError),
        (Answer(400), InvalidInputError),
        (Answer(206, {"Content-Range": "bytes 7-9/10"}, b"abc"), InvalidInputError),
        (Answer(body=b"content", length=SIZE), UnreadableError),
        (Answer(body=b"", length=100 * MIB), LimitExceededError),
    ],
)
def test_a_blob_that_cannot_be_read_says_why(scripted: Scripted, answer: Answer, error: type[Exception]) -> None:
    scripted.answers[f"GET {AT}"] = answer
    at = Registry(scripted.url, limits=Limits(blob_bytes=10 * MIB)).repository("a/b")
    with pytest.raises(error):
        list(at.open_blob(BLOB))


@pytest.mark.parametrize("passing", [Answer(500), Answer(429, {"Retry-After": "0"}), Answer(503, {"Retry-After": "1"})])
def test_what_passes_is_waited_for(scripted: Scripted, passing: Answer) -> None:
    scripted.answers[f"GET {AT}"] = in_turn(passing, passing, Answer(body=DATA))
    assert b"".join(repository(scripted).open_blob(BLOB)) == DATA


def test_a_blob_that_breaks_off_is_taken_up_where_it_was(scripted: Scripted) -> None:
    data = DATA * 1000

    def answer(asked: Asked) -> Answer:
        start = int(asked.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        return Answer(206 if start else 200, headers, data[start : start + 3_000_000], len(data) - start)

    scripted.answers[f"GET {AT}"] = answer
    assert b"".join(repository(scripted).open_blob(BLOB)) == data
    assert len(scripted.asked) > 2


def test_a_server_without_ranges_is_read_anew(scripted: Scripted) -> None:
    data = DATA * 1000
    scripted.answers[f"GET {AT}"] = in_turn(Answer(body=data[:3_000_000], length=len(data)), Answer(body=data))
    assert b"".join(repository(scripted).open_blob(BLOB)) == data


def test_a_redirected_blob_is_fetched_without_the_credential(scripted: Scripted) -> None:
    with serving(Scripted()) as elsewhere:
        challenged(scripted)
        scripted.answers[f"GET {AT}"] = Answer(307, {"Location": f"{elsewhere.url}/blob?signature=x"})
        elsewhere.answers["GET /blob"] = Answer(body=DATA)
        at = repository(scripted, f"127.0.0.1:{elsewhere.port}", credentials=BEARER)
        assert at.blob_size(BlobDigest.of(b"")) is None
        assert b"".join(at.open_blob(BLOB)) == DATA
        assert scripted.asked[-1].headers.get("Authorization") == "Bearer opens-nothing"
        assert [each.headers.get("Authorization") for each in elsewhere.asked] == [None]
        with pytest.raises(LedAstrayError):
            list(repository(scripted).open_blob(BLOB))
        assert len(elsewhere.asked) == 1


def test_a_tag_is_what_its_body_hashes_to(scripted: Scripted) -> None:
    data = b'{"schemaVersion": 2}'
    at = "GET /v2/a/b/manifests/v1"
    scripted.answers[at] = Answer(headers={"Content-Type": f"{MANIFEST}; charset=utf-8"}, body=data)
    found = repository(scripted).tag("v1")
    assert found is not None
    assert (found.media_type, str(found.digest), found.size) == (MANIFEST, digest_of(data), len(data))
    assert scripted.asked[0].headers["Accept"] == ACCEPT
    lie = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest_of(b"other")}
    for answer in (Answer(headers=lie, body=data), Answer(headers={"Content-Type": "nothing"}, body=data)):
        scripted.answers[at] = answer
        with pytest.raises(InvalidInputError):
            repository(scripted).tag("v1")
    scripted.answers[at] = Answer(body=itertools.repeat(b"x" * MIB))
    with pytest.raises(LimitExceededError):
        repository(scripted).tag("v1")


# --- a whole image from a hostile registry ---


def serve(scripted: Scripted, layout: Path) -> None:
    """Blobs and manifests of a layout; lies are told by changing ``scripted.answers``."""
    for path in (layout / "blobs/sha256").iterdir():
        data = path.read_bytes()
        media_type = json.loads(data).get("mediaType", "") if data.startswith(b'{"schemaVersion"') else ""
        for kind in ("manifests", "blobs"):
            answer = Answer(headers={"Content-Type": media_type} if media_type else {}, body=data)
            scripted.answers[f"/v2/{REPOSITORY}/{kind}/sha256:{path.name}"] = answer


def readings(scripted: Scripted, image: object, limits: Limits | None = None) -> dict[str, Reading]:
    staging = OciStaging(Registry(scripted.url, sleep=nothing_passes).repository, limits or Limits())
    found = staging.inspect(image, nothing)  # type: ignore[arg-type]  # an OciImage, as each test makes it
    return {reading.member: reading for reading in found}


def is_sound(reading: Reading) -> bool:
    same = reading.digest == reading.expected_digest and reading.expected_size in {None, reading.size}
    return reading.state is ReadState.READ and same and not reading.index_problems


def test_a_whole_image_is_read(scripted: Scripted, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    serve(scripted, tmp_path / REPOSITORY)
    assert all(is_sound(reading) for reading in readings(scripted, image).values())


def endless(asked: Asked) -> Answer:
    return Answer(body=itertools.repeat(b"\0" * MIB))


@pytest.mark.parametrize(
    ("lie", "state"),
    [
        (endless, ReadState.TOO_LARGE),
        (Answer(body=b"", length=2**50), ReadState.TOO_LARGE),
        (Answer(body=b"short"), ReadState.TRUNCATED),
        (Answer(body=b"short", length=5000), ReadState.UNREADABLE),
        (Answer(302, {"Location": "http://169.254.169.254/latest"}), ReadState.MALFORMED),
        (Answer(401), ReadState.UNAUTHORISED),
        (Answer(429), ReadState.RATE_LIMITED),
        (Answer(404), ReadState.ABSENT),
    ],
)
@pytest.mark.parametrize("kind", ["layer", "manifest", "index"])
def test_a_lying_registry_is_told_and_costs_no_memory(
    scripted: Scripted, tmp_path: Path, kind: str, lie: object, state: ReadState
) -> None:
    image = make_image(tmp_path)
    layout = tmp_path / REPOSITORY
    serve(scripted, layout)
    manifest = json.loads(blob_file(layout, image.platforms[PLATFORMS[0]]).read_bytes())
    digest = {
        "layer": manifest["layers"][1]["digest"],
        "manifest": image.platforms[PLATFORMS[0]],
        "index": image.manifest,
    }[kind]
    path = "blobs" if kind == "layer" else "manifests"
    scripted.answers[f"/v2/{REPOSITORY}/{path}/{digest}"] = lie  # type: ignore[assignment]
    if kind == "index" and state is ReadState.TRUNCATED:
        state = ReadState.READ  # nobody said how long it is
    found = [r for r in readings(scripted, image).values() if not is_sound(r) and r.expected_digest == str(digest)]
    assert {reading.state for reading in found} == {state}


def test_a_registry_s_manifests_that_nest_or_lie_about_type_and_size_are_refused(
    scripted: Scripted, tmp_path: Path
) -> None:
    layout = tmp_path / REPOSITORY
    child = put_manifest(layout, "linux/amd64")
    for lie in ({"mediaType": "application/vnd.oci.image.index.v1+json"}, {"size": child["size"] + 1}):
        index = put_index(layout, [{**child, **lie}])
        seal(layout, ("v1", index))
        serve(scripted, layout)
        found = readings(scripted, image_of(index["digest"], {"linux/amd64": child["digest"]}))
        assert not all(is_sound(reading) for reading in found.values())
    deep = child
    for _ in range(4):
        deep = put_index(layout, [deep])
    seal(layout, ("v1", deep))
    serve(scripted, layout)
    found = readings(scripted, image_of(deep["digest"], {"linux/amd64": child["digest"]}))
    assert ReadState.TOO_LARGE in {reading.state for reading in found.values()}


def test_urls_of_layers_are_never_asked(scripted: Scripted, tmp_path: Path) -> None:
    with serving(Scripted()) as elsewhere:
        layout = tmp_path / REPOSITORY
        original = put_manifest(layout, "linux/amd64")
        manifest = json.loads(blob_file(layout, original["digest"]).read_bytes())
        for layer in manifest["layers"]:
            layer["urls"] = [f"{elsewhere.url}/layer"]
        data = json.dumps(manifest).encode()
        blob_file(layout, digest_of(data)).write_bytes(data)
        seal(layout)
        serve(scripted, layout)
        del scripted.answers[f"/v2/{REPOSITORY}/blobs/{manifest['layers'][0]['digest']}"]
        found = readings(scripted, image_of(digest_of(data), {"linux/amd64": digest_of(data)}))
        assert ReadState.ABSENT in {reading.state for reading in found.values()}
        assert elsewhere.asked == []


def test_nothing_of_a_hostile_registry_is_published(scripted: Scripted, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    serve(scripted, tmp_path / REPOSITORY)
    surface = OciSurface(layouts(tmp_path / "durable"), OciStaging(Registry(scripted.url).repository))
    plan = surface.plan(release_of(image, "v1"))
    manifest = json.loads(blob_file(tmp_path / REPOSITORY, image.platforms[PLATFORMS[0]]).read_bytes())
    layer = manifest["layers"][1]["digest"]
    scripted.answers[f"/v2/{REPOSITORY}/blobs/{layer}"] = endless
    with pytest.raises(PublicationError, match="something longer"):
        surface.copy(plan, nothing)
    with pytest.raises(AbsentError):
        surface.reveal(plan)
    assert not blob_file(tmp_path / "durable/released/dashboard", layer).exists()


# --- writing ---


class Uploads:
    """A registry's uploads as the specification has them; ``keep`` is how much of the first PUT it keeps and breaks."""

    def __init__(self, scripted: Scripted, keep: int = -1, range_status: int = 204) -> None:
        self.keep, self.held, self.stored = keep, b"", b""
        self.range_status = range_status
        scripted.answers["POST /v2/a/b/blobs/uploads/"] = self.begin
        scripted.answers["/upload"] = self.go_on

    def begin(self, asked: Asked) -> Answer:
        self.held = b""
        return Answer(202, {"Location": "/upload?state=1"})

    def go_on(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(self.range_status, {"Range": f"0-{len(self.held) - 1}", "Location": "/upload?state=2"})
        if self.keep >= 0 and asked.method == "PUT":
            self.held, self.keep = asked.body[: self.keep], -1
            return Answer(500)
        self.held += asked.body
        if asked.method == "PATCH":
            return Answer(202, {"Location": "/upload?state=3"})
        right = f"sha256:{hashlib.sha256(self.held).hexdigest()}" == asked.query["digest"][0]
        self.stored = self.held if right else b""
        return Answer(201 if right else 400)


def test_a_blob_is_sent_by_post_and_put(scripted: Scripted) -> None:
    uploads = Uploads(scripted)
    assert repository(scripted).put_blob([DATA[:10], DATA[10:]], BLOB, SIZE)
    assert uploads.stored == DATA
    assert [each.method for each in scripted.asked] == ["HEAD", "POST", "PUT"]


def test_an_empty_blob_is_sent(scripted: Scripted) -> None:
    Uploads(scripted)
    assert repository(scripted).put_blob([], BlobDigest.of(b""), 0)
    assert scripted.asked[-1].headers["Content-Length"] == "0"


def test_a_blob_that_is_there_is_not_sent(scripted: Scripted) -> None:
    scripted.answers[f"HEAD {AT}"] = Answer(length=SIZE)
    assert not repository(scripted).put_blob([DATA], BLOB, SIZE)


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", b"", b"X" + DATA[1:], DATA[:-1] + b"X"])
def test_wrong_bytes_never_become_a_blob(scripted: Scripted, data: bytes) -> None:
    uploads = Uploads(scripted)
    with pytest.raises(PublicationError, match="shall be 7,000 bytes"):
        repository(scripted).put_blob([data[:100], data[100:5000], data[5000:]], BLOB, SIZE)
    assert uploads.stored == b""
    assert sum(len(each.body) for each in scripted.asked) < SIZE, "the last bytes are held back"


def test_an_upload_that_breaks_is_taken_up_where_the_registry_says(scripted: Scripted) -> None:
    uploads = Uploads(scripted, keep=3000)
    repository(scripted).put_blob([DATA[:2500], DATA[2500:]], BLOB, SIZE)
    assert uploads.stored == DATA
    assert [each.method for each in scripted.asked] == ["HEAD", "POST", "PUT", "GET", "PATCH", "PUT"]
    patch = scripted.asked[-2]
    assert patch.headers["Content-Range"] == f"3000-{SIZE - 1}"
    assert patch.body == DATA[3000:]


@pytest.mark.parametrize(("keep", "status"), [(0, 204), (1, 204), (3000, 404), (3000, 200)])
def test_an_upload_that_is_lost_is_begun_anew(scripted: Scripted, keep: int, status: int) -> None:
    uploads = Uploads(scripted, keep, status)
    repository(scripted).put_blob([DATA], BLOB, SIZE)
    assert uploads.stored == DATA
    assert [each.method for each in scripted.asked] == ["HEAD", "POST", "PUT", "GET", "POST", "PUT"]


def test_a_registry_that_takes_no_ranges_gets_all_anew(scripted: Scripted) -> None:
    """As one does for any ranged PATCH of over 4 MiB."""
    uploads = Uploads(scripted, keep=3000)

    def go_on(asked: Asked) -> Answer:
        return Answer(416) if asked.method == "PATCH" else uploads.go_on(asked)

    scripted.answers["/upload"] = go_on
    repository(scripted).put_blob([DATA], BLOB, SIZE)
    assert uploads.stored == DATA
    assert [each.method for each in scripted.asked][-3:] == ["PATCH", "POST", "PUT"]


def test_an_upload_that_never_works_ends(scripted: Scripted) -> None:
    Uploads(scripted)
    scripted.answers["PUT /upload"] = Answer(500)
    with pytest.raises(UnreadableError):
        repository(scripted).put_blob([DATA], BLOB, SIZE)


def test_an_upload_that_is_sent_to_another_host_is_refused(scripted: Scripted) -> None:
    with serving(Scripted()) as elsewhere:
        challenged(scripted)
        for place in (f"{elsewhere.url}/upload", "http://169.254.169.254/x", "//localhost/x", "file:///etc/passwd"):
            scripted.answers["POST /v2/a/b/blobs/uploads/"] = Answer(202, {"Location": place})
            with pytest.raises(LedAstrayError):
                repository(scripted, credentials=BEARER).put_blob([DATA], BLOB, SIZE)
        assert elsewhere.asked == []
        scripted.answers["POST /v2/a/b/blobs/uploads/"] = Answer(202, {"Location": f"{elsewhere.url}/upload"})
        elsewhere.answers["PUT /upload"] = Answer(201)
        repository(scripted, f"127.0.0.1:{elsewhere.port}", credentials=BEARER).put_blob([DATA], BLOB, SIZE)
        assert [each.headers.get("Authorization") for each in elsewhere.asked] == [None]


def test_a_blob_of_another_repository_of_the_registry_is_taken_over(scripted: Scripted) -> None:
    scripted.answers["POST /v2/a/b/blobs/uploads/"] = Answer(201)
    registry = Registry(scripted.url)
    assert registry.repository("a/b").put_blob(Unread(), BLOB, SIZE, registry.repository("c"))
    assert [each.query for each in scripted.asked] == [{"mount": [str(BLOB)], "from": ["c"]}]


class Unread:
    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("nothing is to be read")


def test_a_blob_that_is_not_taken_over_is_sent(scripted: Scripted) -> None:
    uploads = Uploads(scripted)
    registry = Registry(scripted.url)
    registry.repository("a/b").put_blob([DATA], BLOB, SIZE, registry.repository("c"))
    assert uploads.stored == DATA
    with serving(Scripted()) as elsewhere:
        registry.repository("a/b").put_blob([DATA], BLOB, SIZE, Registry(elsewhere.url).repository("c"))
    assert scripted.asked[-2].query == {}, "another registry's repositories are not named"


def test_a_manifest_that_is_stored_as_something_else_is_refused(scripted: Scripted) -> None:
    at = f"PUT /v2/a/b/manifests/{ManifestDigest.of(b'{}')}"
    for answer in (Answer(201, {"Docker-Content-Digest": digest_of(b"other")}), Answer(400, body=b"MANIFEST_INVALID")):
        scripted.answers[at] = answer
        with pytest.raises(PublicationError):
            repository(scripted).put_manifest(b"{}", MANIFEST)
    scripted.answers[at] = Answer(405)
    with pytest.raises(FlywheelError):
        repository(scripted).put_manifest(b"{}", MANIFEST)


def test_what_a_registry_says_in_headers_is_not_repeated_in_errors(scripted: Scripted) -> None:
    said = f"sha256:{'e' * 64} opens-nothing"
    headers = {"Docker-Content-Digest": said, "Content-Type": said, "Content-Range": said, "Range": said}
    scripted.otherwise = Answer(201, headers)
    scripted.answers[f"HEAD {AT}"] = Answer(200, {"X-Said": said}, body=iter(()))
    scripted.answers[f"GET {AT}"] = Answer(206, headers)
    scripted.answers["GET /v2/a/b/manifests/v1"] = Answer(200, headers, b"{}")
    scripted.answers["GET /v2/a/b/manifests/v2"] = Answer(200, {"Content-Type": said}, b"{}")
    scripted.answers["POST /v2/a/b/blobs/uploads/"] = Answer(202, {"Location": "/upload", **headers})
    held = repository(scripted)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: held.blob_size(BLOB), "is no size"),
        (lambda: list(held.open_blob(BLOB)), "not what was asked for"),
        (lambda: held.tag("v1"), "not what the registry says"),
        (lambda: held.tag("v2"), "media"),
        (lambda: held.put_manifest(b"{}", MANIFEST), "stored something else"),
        (lambda: held.put_blob([DATA], BLOB, SIZE, held), "stored something else"),
    ]
    for call, word in calls:
        with pytest.raises(FlywheelError, match=word) as caught:
            call()
        assert "opens-nothing" not in str(caught.value)


def test_a_registry_that_does_not_see_a_blob_yet_is_waited_for(scripted: Scripted) -> None:
    lagging = Answer(400, body=b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}')
    scripted.answers[f"PUT /v2/a/b/manifests/{ManifestDigest.of(b'{}')}"] = in_turn(lagging, lagging, Answer(201))
    repository(scripted).put_manifest(b"{}", MANIFEST)
    assert len(scripted.asked) == 3


def test_a_tag_is_looked_at_just_before_it_is_written(scripted: Scripted) -> None:
    data, other = b'{"a": 1}', b'{"a": 2}'
    entry = {"mediaType": MANIFEST, "digest": digest_of(data), "size": len(data)}
    scripted.answers[f"GET /v2/a/b/manifests/{digest_of(data)}"] = Answer(headers={"Content-Type": MANIFEST}, body=data)
    scripted.answers["GET /v2/a/b/manifests/taken"] = Answer(headers={"Content-Type": MANIFEST}, body=other)
    scripted.answers["PUT /v2/a/b/manifests/new"] = scripted.answers["PUT /v2/a/b/manifests/taken"] = Answer(201)
    with pytest.raises(NameTakenError):
        repository(scripted).set_names({"new": entry, "taken": entry}, ())
    assert {each.method for each in scripted.asked} == {"GET"}, "all tags or none"
    repository(scripted).set_names({"new": entry, "taken": entry}, ("taken",))
    assert [each.path[-5:] for each in scripted.asked if each.method == "PUT"] == ["s/new", "taken"]


def test_a_manifest_that_does_not_read_back_is_not_tagged(scripted: Scripted) -> None:
    entry = {"mediaType": MANIFEST, "digest": digest_of(b"{}"), "size": 2}
    with pytest.raises(AbsentError):
        repository(scripted).set_names({"v1": entry}, ())
    scripted.answers[f"GET /v2/a/b/manifests/{digest_of(b'{}')}"] = Answer(body=b"[]")
    with pytest.raises(PublicationError, match="reads back as"):
        repository(scripted).set_names({"v1": entry}, ())
    assert {each.method for each in scripted.asked} == {"GET"}
