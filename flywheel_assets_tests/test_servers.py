"""The servers of tests are what they say they are: otherwise a test against them shows nothing."""

import base64
import hashlib
import http.client
import itertools
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message

import pytest
from obstore.store import S3Store

from flywheel_assets_tests.certificates import Certificates
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.scripted import Answer, Scripted
from flywheel_assets_tests.servers import Delayed, WebServer
from flywheel_assets_tests.token_issuer import PASSWORD, USER, TokenIssuer

BASIC = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
NONE: Mapping[str, str] = {}
BLOB = b"a layer"
DIGEST = "sha256:" + hashlib.sha256(BLOB).hexdigest()


def ask(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = NONE,
    context: ssl.SSLContext | None = None,
) -> tuple[int, Message, bytes]:
    """The status, headers and body of an answer."""
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - of the test's own
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def push(server: Server, name: str, headers: Mapping[str, str] = NONE) -> tuple[int, int]:
    """The statuses of pushing BLOB and an empty manifest."""
    status, answered, _ = ask("POST", f"{server.url}/v2/{name}/blobs/uploads/", b"", headers)
    if status != 202:
        return status, status
    there = answered["Location"]
    there = there if there.startswith("http") else server.url + there
    there += ("&" if "?" in there else "?") + f"digest={DIGEST}"
    blob, _, _ = ask("PUT", there, BLOB, {**headers, "Content-Type": "application/octet-stream"})
    kind = "application/vnd.oci.image.manifest.v1+json"
    described = {"mediaType": "application/octet-stream", "digest": DIGEST, "size": len(BLOB)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": described, "layers": [described]}).encode()
    pushed, _, _ = ask("PUT", f"{server.url}/v2/{name}/manifests/a", manifest, {**headers, "Content-Type": kind})
    return blob, pushed


def test_the_registry_takes_images_keeps_them_over_a_restart_and_has_no_referrers_api(
    registry: Server, fresh_name: str
) -> None:
    assert push(registry, fresh_name) == (201, 201)
    registry.restart()
    assert ask("GET", f"{registry.url}/v2/{fresh_name}/blobs/{DIGEST}")[2] == BLOB
    assert ask("GET", f"{registry.url}/v2/{fresh_name}/referrers/{DIGEST}")[0] == 404


def test_the_referrers_registry_has_the_api(referrers_registry: Server, fresh_name: str) -> None:
    assert push(referrers_registry, fresh_name) == (201, 201)
    status, headers, body = ask("GET", f"{referrers_registry.url}/v2/{fresh_name}/referrers/{DIGEST}")
    assert (status, headers["Content-Type"]) == (200, "application/vnd.oci.image.index.v1+json")
    assert not json.loads(body)["manifests"]


def test_the_registry_with_basic_asks_for_the_account(registry_with_basic: Server, fresh_name: str) -> None:
    status, headers, _ = ask("GET", f"{registry_with_basic.url}/v2/")
    assert (status, headers["WWW-Authenticate"].split()[0]) == (401, "Basic")
    assert push(registry_with_basic, fresh_name)[0] == 401
    assert push(registry_with_basic, fresh_name, BASIC) == (201, 201)


def token(issuer: TokenIssuer, scope: str, headers: Mapping[str, str] = NONE) -> Mapping[str, str]:
    _, _, body = ask("GET", f"{issuer.realm}?service=a&scope={scope}", headers=headers)
    return {"Authorization": "Bearer " + json.loads(body)["token"]}


def test_the_registry_with_token_takes_tokens_for_what_their_scopes_say(
    registry_with_token: Server, token_issuer: TokenIssuer, fresh_name: str
) -> None:
    status, headers, _ = ask("GET", f"{registry_with_token.url}/v2/")
    assert (status, token_issuer.realm in headers["WWW-Authenticate"]) == (401, True)
    scope = f"repository:{fresh_name}:pull,push"
    assert push(registry_with_token, fresh_name, token(token_issuer, scope))[0] == 401
    assert push(registry_with_token, fresh_name, token(token_issuer, scope, BASIC)) == (201, 201)
    blob = f"{registry_with_token.url}/v2/{fresh_name}/blobs/{DIGEST}"
    assert ask("GET", blob, headers=token(token_issuer, scope))[0] == 200
    token_issuer.private.add(fresh_name)
    assert ask("GET", blob, headers=token(token_issuer, scope))[0] == 401
    assert ask("GET", f"{token_issuer.realm}?scope={scope}", headers={"Authorization": "Basic eDp5"})[0] == 401
    assert token_issuer.scripted.asked[-1].query["scope"] == [scope]


def test_nginx_serves_a_folder_and_takes_puts_below_it(nginx: WebServer) -> None:
    (nginx.folder / "here").write_bytes(b"body")
    assert ask("GET", f"{nginx.url}/here")[2] == b"body"
    assert ask("PUT", f"{nginx.url}/new/there", b"x" * 100_000)[0] == 201
    assert (nginx.folder / "new" / "there").stat().st_size == 100_000


def test_nginx_with_basic_asks_for_the_account(nginx: WebServer, nginx_with_basic: WebServer) -> None:
    (nginx.folder / "here").write_bytes(b"body")
    assert ask("GET", f"{nginx_with_basic.url}/here")[0] == 401
    assert ask("GET", f"{nginx_with_basic.url}/here", headers=BASIC)[2] == b"body"


def test_nginx_with_certificates_asks_for_one(nginx_with_certificates: WebServer, certificates: Certificates) -> None:
    (nginx_with_certificates.folder / "here").write_bytes(b"body")
    context = ssl.create_default_context(cafile=certificates.ca)
    assert ask("GET", f"{nginx_with_certificates.url}/here", context=context)[0] == 400
    context.load_cert_chain(certificates.client.certificate, certificates.client.key)
    assert ask("GET", f"{nginx_with_certificates.url}/here", context=context)[2] == b"body"


def test_s3_has_an_empty_bucket_that_takes_objects(s3: Server, s3_bucket: str) -> None:
    store = S3Store(
        s3_bucket,
        endpoint=s3.url,
        region="us-east-1",
        access_key_id="any",
        secret_access_key="any",
        client_options={"allow_http": True},
    )
    assert list(store.list()) == []
    store.put("a/b", b"body")
    assert store.get("a/b").bytes() == b"body"


def test_a_delayed_server_answers_later_and_says_the_same(nginx: WebServer, delayed: Delayed) -> None:
    (nginx.folder / "here").write_bytes(b"body" * 1_000_000)
    name = nginx.url.rsplit("/", 1)[1]
    connection = http.client.HTTPConnection("127.0.0.1", delayed(nginx.process.port, 0.1), timeout=10)
    for round_trips in (2, 1):  # the first one opens the connection
        start = time.monotonic()
        connection.request("GET", f"/{name}/here")
        assert connection.getresponse().read() == b"body" * 1_000_000
        took = time.monotonic() - start
        assert took >= round_trips * 0.2
    connection.close()


def test_a_scripted_server_records_what_it_was_asked(scripted: Scripted) -> None:
    scripted.answers["/a"] = Answer(headers={"Location": "b"}, body=b"1")
    scripted.answers["PUT /a"] = lambda asked: Answer(201, body=asked.body * 2)
    assert ask("GET", f"{scripted.url}/a?q=1")[2] == b"1"
    assert ask("PUT", f"{scripted.url}/a", b"2", {"X-Key": "k"})[::2] == (201, b"22")
    assert ask("GET", f"{scripted.url}/b")[0] == 404
    first, second, _ = scripted.asked
    assert (first.path, first.query, second.headers["x-key"]) == ("/a", {"q": ["1"]}, "k")


def test_a_scripted_server_lies_about_lengths_and_never_ends(scripted: Scripted) -> None:
    scripted.answers["/short"] = Answer(body=b"half", length=8)
    scripted.answers["/endless"] = Answer(body=itertools.repeat(b"x" * 1000))
    with pytest.raises(http.client.IncompleteRead):
        ask("GET", f"{scripted.url}/short")
    connection = http.client.HTTPConnection("127.0.0.1", scripted.port, timeout=10)
    connection.request("GET", "/endless")
    assert len(connection.getresponse().read(5_000_000)) == 5_000_000
    connection.close()


def test_a_scripted_server_speaks_tls(scripted_https: Scripted, certificates: Certificates) -> None:
    scripted_https.answers["/a"] = Answer(body=b"1")
    context = ssl.create_default_context(cafile=certificates.ca)
    assert ask("GET", f"{scripted_https.url}/a", context=context)[2] == b"1"


def test_a_test_that_asks_for_a_server_needs_the_part_behind_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PATH", str(pytester.path))
    pytester.makeini("[pytest]\naddopts = --strict-markers")
    pytester.makeconftest('pytest_plugins = ["flywheel_assets_tests.peers", "flywheel_assets_tests.servers"]')
    pytester.makepyfile("def test_pulls(referrers_registry): ...")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*::test_pulls: olareg is not on PATH*"])
