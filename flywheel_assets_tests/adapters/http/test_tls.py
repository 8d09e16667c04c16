"""TLS: whose certificate holds, who is shown the client's, and where a body without a length ends."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.adapters.http.wire import Timeouts
from flywheel_assets.domain.errors import UnauthorisedError, UnreadableError, UsageError
from flywheel_assets.domain.limits import MIB
from flywheel_assets_tests.adapters.http.talking import Talk, answering, head_of, talking
from flywheel_assets_tests.certificates import Certificates
from flywheel_assets_tests.scripted import Answer, Scripted
from flywheel_assets_tests.servers import WebServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def got(client: HttpClient, target: str = "x") -> bytes:
    with client.request("GET", target) as response:
        return response.read(1000)


@contextmanager
def talking_tls(certificates: Certificates, *talks: Talk, demands: bool = False) -> Iterator[str]:
    """As ``talking``, over TLS; ``demands`` a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server.certificate, certificates.server.key)
    if demands:
        context.load_verify_locations(certificates.ca)
        context.verify_mode = ssl.CERT_REQUIRED

    def secured(talk: Talk) -> Talk:
        def run(sock: socket.socket) -> None:
            with context.wrap_socket(sock, server_side=True) as inner:
                talk(inner)

        return run

    with talking(*map(secured, talks)) as url:
        yield url.replace("http:", "https:")


def test_a_server_of_an_authority_that_was_given_is_read(scripted_https: Scripted, certificates: Certificates) -> None:
    scripted_https.otherwise = Answer(body=b"ok")
    client = HttpClient(scripted_https.url, Credentials(bearer=Secret("s3cret"), ca=certificates.ca))
    assert [got(client), got(client)] == [b"ok", b"ok"]
    assert scripted_https.asked[0].headers["Authorization"] == "Bearer s3cret"


def test_a_server_of_an_unknown_authority_is_not_spoken_to(scripted_https: Scripted) -> None:
    client = HttpClient(scripted_https.url, Credentials(bearer=Secret("s3cret")))
    with pytest.raises(UnreadableError, match="its certificate does not hold"):
        got(client)
    assert scripted_https.asked == []


def test_a_certificate_for_another_name_does_not_hold(
    scripted_https: Scripted, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", scripted_https.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [here])
    client = HttpClient(f"https://other.example:{scripted_https.port}", Credentials(ca=certificates.ca))
    with pytest.raises(UnreadableError, match=r"does not hold.*other\.example"):
        got(client)
    assert scripted_https.asked == []


def test_a_redirect_from_https_to_http_is_not_followed(scripted_https: Scripted, certificates: Certificates) -> None:
    scripted_https.otherwise = Answer(302, {"Location": scripted_https.url.replace("https:", "http:")})
    with pytest.raises(Exception, match="leads from https to http"):
        got(HttpClient(scripted_https.url, Credentials(bearer=Secret("s3cret"), ca=certificates.ca)))


def test_an_authority_that_was_given_counts_for_other_hosts_too(
    scripted_https: Scripted, certificates: Certificates
) -> None:
    other = f"https://localhost:{scripted_https.port}"
    scripted_https.answers = {"/x": Answer(302, {"Location": f"{other}/y"}), "/y": Answer(body=b"ok")}
    held = Credentials(bearer=Secret("s3cret"), ca=certificates.ca)
    assert got(HttpClient(scripted_https.url, held, [f"localhost:{scripted_https.port}"])) == b"ok"
    assert scripted_https.asked[1].headers["Authorization"] is None


def test_a_server_that_speaks_no_tls_is_unreadable(scripted: Scripted) -> None:
    with pytest.raises(UnreadableError, match="cannot be reached"):
        got(HttpClient(scripted.url.replace("http:", "https:")))


def test_a_handshake_that_nobody_answers_is_given_up() -> None:
    def silent(sock: socket.socket) -> None:
        while sock.recv(1000):
            pass

    with talking(silent) as url, pytest.raises(UnreadableError, match="does not answer in time"):
        got(HttpClient(url.replace("http:", "https:"), timeouts=Timeouts(connect=0.2)))


# --- client certificates ------------------------------------------------------------------------


def client_of(url: str, certificates: Certificates, hosts: tuple[str, ...] = ()) -> HttpClient:
    pair = certificates.client
    held = Credentials(certificate=pair.certificate, certificate_key=pair.key, ca=certificates.ca)
    return HttpClient(url, held, hosts)


def test_a_client_certificate_opens_what_demands_one(
    nginx_with_certificates: WebServer, certificates: Certificates
) -> None:
    (nginx_with_certificates.folder / "x").write_bytes(b"ok")
    assert got(client_of(nginx_with_certificates.url, certificates)) == b"ok"


def test_a_server_that_demands_a_certificate_refuses_a_client_without_one(certificates: Certificates) -> None:
    refused = pytest.raises(UnauthorisedError, match="does not take the certificate of this client")
    with talking_tls(certificates, answering(OK), demands=True) as url, refused:
        got(HttpClient(url, Credentials(ca=certificates.ca)))


def test_a_client_certificate_is_for_the_surfaces_own_host_alone(certificates: Certificates) -> None:
    def shown_certificate(sock: socket.socket) -> None:
        head_of(sock)
        assert isinstance(sock, ssl.SSLSocket)
        seen.append(sock.getpeercert())
        sock.sendall(OK)

    seen: list[object] = []
    with talking_tls(certificates, shown_certificate, shown_certificate, demands=True) as url:
        other = url.replace("127.0.0.1", "localhost")
        client = client_of(url, certificates, (other.removeprefix("https://"),))
        assert got(client) == b"ok"
        with pytest.raises(UnauthorisedError):
            got(client, f"{other}/x")
    assert len(seen) == 1


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("s3cret")
    for held in (
        Credentials(ca=tmp_path / "absent.pem"),
        Credentials(ca=tmp_path / "x.pem"),
        Credentials(certificate=tmp_path / "x.pem"),
    ):
        with pytest.raises(UsageError, match=r"certificates for https://127\.0\.0\.1:1 cannot be used") as caught:
            got(HttpClient("https://127.0.0.1:1", held))
        assert "s3cret" not in str(caught.value)


@pytest.mark.timeout(10)
def test_a_key_with_a_password_is_refused_instead_of_asking_at_the_terminal(
    tmp_path: Path, certificates: Certificates
) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    # Where the tests have a terminal, a question there would wait for ever.
    key = load_pem_private_key(certificates.client.key.read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret"))
    (tmp_path / "key.pem").write_bytes(locked)
    held = Credentials(certificate=certificates.client.certificate, certificate_key=tmp_path / "key.pem")
    with pytest.raises(UsageError, match="cannot be used"):
        got(HttpClient("https://127.0.0.1:1", held))


# --- connections --------------------------------------------------------------------------------


def test_an_end_without_the_goodbye_of_tls_is_no_end_of_a_body(certificates: Certificates) -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\npart of it"

    def properly(sock: socket.socket) -> None:
        answering(answer)(sock)
        assert isinstance(sock, ssl.SSLSocket)
        sock.unwrap()

    with talking_tls(certificates, answering(answer), properly) as url:
        client = HttpClient(url, Credentials(ca=certificates.ca))
        with pytest.raises(UnreadableError, match="broke off"):
            got(client)
        assert got(client) == b"part of it"


def test_a_connection_that_was_closed_in_the_meantime_is_replaced(certificates: Certificates) -> None:
    with talking_tls(certificates, answering(OK), answering(OK)) as url:
        client = HttpClient(url, Credentials(ca=certificates.ca))
        assert [got(client), got(client)] == [b"ok", b"ok"]


def test_bytes_after_an_answer_are_never_the_answer_to_another_request(certificates: Certificates) -> None:
    evil = OK.replace(b"ok", b"no")

    def in_one_record_with_the_body(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(OK.removesuffix(b"ok"))
        time.sleep(0.05)
        sock.sendall(b"ok" + evil)
        sock.recv(1)

    for talk in (answering(OK + evil, b""), in_one_record_with_the_body):
        with talking_tls(certificates, talk, answering(OK)) as url:
            client = HttpClient(url, Credentials(ca=certificates.ca))
            assert [got(client), got(client)] == [b"ok", b"ok"]


def test_an_upload_is_not_disturbed_by_what_tls_settles_by_itself(
    scripted_https: Scripted, certificates: Certificates
) -> None:
    # Tickets for another session come with the first bytes: something arrives, and it is no answer.
    client = HttpClient(scripted_https.url, Credentials(ca=certificates.ca))
    for index in range(3):
        client.request("PUT", f"{index}", body=iter([bytes(MIB)] * 8), length=8 * MIB).close()
    assert [len(asked.body) for asked in scripted_https.asked] == [8 * MIB] * 3


def test_an_answer_in_the_middle_of_an_upload_is_seen(certificates: Certificates) -> None:
    def refuse(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        threading.Event().wait(0.5)

    with talking_tls(certificates, refuse) as url:
        client = HttpClient(url, Credentials(ca=certificates.ca), timeouts=Timeouts(idle=5))
        with client.request("PUT", "x", body=bytes(64 * MIB)) as response:
            assert response.status == 401
