"""A pytest plugin: fixtures that run real servers as plain processes on free ports of 127.0.0.1.

A server is started once a session; each test takes a ``fresh_name`` there for its repository, folder or bucket. A test
that asks for a fixture in NEEDED is marked with the part behind it; one that chooses a fixture by name at run time
(``request.getfixturevalue``) has to carry the mark ``peer`` itself.
"""

import http.client
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest

from flywheel_assets_tests import delaying
from flywheel_assets_tests.certificates import Certificates, make_certificates
from flywheel_assets_tests.peers import PeerPath
from flywheel_assets_tests.processes import Server, free_port, running
from flywheel_assets_tests.scripted import Scripted, serving
from flywheel_assets_tests.token_issuer import ISSUER, PASSWORD, SERVICE, USER, TokenIssuer, issuing

NEEDED = {
    "registry": "docker-registry",
    "own_registry": "docker-registry",
    "registry_with_basic": "docker-registry",
    "registry_with_token": "docker-registry",
    "referrers_registry": "olareg",
    "nginx": "nginx",
    "nginx_with_basic": "nginx",
    "nginx_with_certificates": "nginx",
}
# bcrypt of PASSWORD; the registry takes no other hash.
BCRYPT = "$2y$05$abcdefghijklmnopqrstuuNOR6BX/fkiT5ButzwCljAoZewq3TiwC"
_NAMES = itertools.count(1)


@dataclass(frozen=True)
class WebServer:
    """One way into nginx: at ``url`` it serves ``folder``, and takes PUT and DELETE below it."""

    url: str
    folder: Path
    process: Server


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with the parts behind their fixtures, before those that need a missing one are replaced."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in NEEDED:
                item.add_marker(pytest.mark.peer(NEEDED[fixture]))


@pytest.fixture
def fresh_name() -> str:
    """A name that no other test uses on a server: fit for a repository, a folder, a bucket."""
    return f"test-{os.getpid()}-{next(_NAMES)}"


# --- OCI registries -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath) -> Iterator[Server]:
    """A registry without a referrers API, open to everybody."""
    with _docker_registry(tmp_path_factory.mktemp("registry"), peer_path, "") as server:
        yield server


@pytest.fixture
def own_registry(tmp_path: Path, peer_path: PeerPath) -> Iterator[Server]:
    """One for a single test, which may do to its folder what it likes."""
    folder = tmp_path / "own-registry"
    folder.mkdir()
    with _docker_registry(folder, peer_path, "") as server:
        yield server


@pytest.fixture(scope="session")
def registry_with_basic(tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath) -> Iterator[Server]:
    """The same, for USER with PASSWORD alone."""
    folder = tmp_path_factory.mktemp("registry-with-basic")
    (folder / "htpasswd").write_text(f"{USER}:{BCRYPT}\n")
    auth = f"auth: {{htpasswd: {{realm: a test's, path: {folder / 'htpasswd'}}}}}"
    with _docker_registry(folder, peer_path, auth) as server:
        yield server


@pytest.fixture(scope="session")
def token_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenIssuer]:
    """Whom ``registry_with_token`` believes; ``scripted.asked`` records requests, ``private`` may be changed."""
    with issuing(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture(scope="session")
def registry_with_token(
    tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath, token_issuer: TokenIssuer
) -> Iterator[Server]:
    """The same, for tokens: anonymous ones pull, those of USER with PASSWORD push."""
    issuer = token_issuer
    trusted = f"service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {issuer.certificate}"
    auth = f"auth: {{token: {{realm: {issuer.realm}, {trusted}}}}}"
    with _docker_registry(tmp_path_factory.mktemp("registry-with-token"), peer_path, auth) as server:
        yield server


def _docker_registry(folder: Path, peer_path: PeerPath, auth: str) -> AbstractContextManager[Server]:
    def command(port: int) -> list[str]:
        lines = [
            "version: 0.1",
            "log: {level: warn, accesslog: {disabled: true}}",
            f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}",
            f"http: {{addr: 127.0.0.1:{port}, secret: nobody's}}",
            auth,
        ]
        (folder / "config.yml").write_text("\n".join(lines))
        return [str(peer_path("docker-registry")), "serve", str(folder / "config.yml")]

    return running(folder, command)


@pytest.fixture(scope="session")
def referrers_registry(tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath) -> Iterator[Server]:
    """A registry with the referrers API of OCI 1.1, open to everybody."""
    folder = tmp_path_factory.mktemp("referrers-registry")

    def command(port: int) -> list[str]:
        place = ["--addr", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
        return [str(peer_path("olareg")), "serve", *place, "--api-delete", "--api-blob-delete"]

    with running(folder, command) as server:
        yield server


# --- nginx: static files and WebDAV -------------------------------------------------------------


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What ``nginx_with_certificates`` and ``scripted_https`` show, and the former asks for."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@dataclass(frozen=True)
class _Nginx:
    process: Server
    basic: int
    tls: int


@pytest.fixture(scope="session")
def _nginx(
    tmp_path_factory: pytest.TempPathFactory, peer_path: PeerPath, certificates: Certificates
) -> Iterator[_Nginx]:
    """One nginx with three ports; all serve the same folder."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "files").mkdir()
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    server = certificates.server
    ports: dict[str, int] = {}

    def command(port: int) -> list[str]:
        ports.update(basic=free_port(), tls=free_port())
        closed = f"auth_basic closed; auth_basic_user_file {folder}/users;"
        mutual = (
            f"ssl_certificate {server.certificate}; ssl_certificate_key {server.key};"
            f" ssl_client_certificate {certificates.ca}; ssl_verify_client on;"
        )
        listening = [f"listen 127.0.0.1:{port} backlog=511;", f"listen 127.0.0.1:{ports['basic']}; {closed}"]
        listening.append(f"listen 127.0.0.1:{ports['tls']} ssl; {mutual}")
        # A worker under another account could not enter a test's temporary folder.
        lines = ["user root;" if os.geteuid() == 0 else "", "daemon off; worker_processes 1; error_log stderr;"]
        lines += [f"pid {folder}/pid; events {{ worker_connections 1024; }}", "http {", "access_log off; sendfile on;"]
        lines += [f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
        lines += [f"root {folder}/files; client_max_body_size 0; dav_methods PUT DELETE; create_full_put_path on;"]
        lines += ["dav_access user:rw;", *(f"server {{ {each} }}" for each in listening), "}"]
        (folder / "nginx.conf").write_text("\n".join(lines))
        return [str(peer_path("nginx")), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]

    with running(folder, command) as process:
        yield _Nginx(process, ports["basic"], ports["tls"])


@pytest.fixture
def nginx(_nginx: _Nginx, fresh_name: str) -> WebServer:
    """A folder of the test's own, open to everybody."""
    return _web_server(_nginx, fresh_name, _nginx.process.url)


@pytest.fixture
def nginx_with_basic(_nginx: _Nginx, fresh_name: str) -> WebServer:
    """The same folder as ``nginx``, for USER with PASSWORD alone."""
    return _web_server(_nginx, fresh_name, f"http://127.0.0.1:{_nginx.basic}")


@pytest.fixture
def nginx_with_certificates(_nginx: _Nginx, fresh_name: str) -> WebServer:
    """The same folder as ``nginx``, over TLS, for whoever shows a certificate by the authority of ``certificates``."""
    return _web_server(_nginx, fresh_name, f"https://127.0.0.1:{_nginx.tls}")


def _web_server(found: _Nginx, name: str, url: str) -> WebServer:
    folder = found.process.folder / "files" / name
    folder.mkdir(exist_ok=True)
    return WebServer(f"{url}/{name}", folder, found.process)


# --- S3, latency, lies --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 server that takes any credential; make a bucket with a PUT of its name."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    with running(tmp_path_factory.mktemp("s3"), command) as server:
        yield server


@pytest.fixture
def s3_bucket(s3: Server, fresh_name: str) -> str:
    """A bucket of the test's own."""
    connection = http.client.HTTPConnection("127.0.0.1", s3.port, timeout=30)
    connection.request("PUT", f"/{fresh_name}")
    answer = connection.getresponse()
    assert answer.status == HTTPStatus.OK, answer.read()
    connection.close()
    return fresh_name


Delayed = Callable[[int, float], int]


@pytest.fixture
def delayed(tmp_path: Path) -> Iterator[Delayed]:
    """From a server's port and seconds of delay in each direction to the port of a proxy that adds them."""
    with ExitStack() as proxies:

        def start(port: int, seconds: float) -> int:
            folder = tmp_path / f"proxy-{next(_NAMES)}"
            folder.mkdir()

            made = running(folder, lambda listen: delaying.command(listen, port, seconds))
            return proxies.enter_context(made).port

        yield start


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server whose answers the test scripts. It is at 127.0.0.1, and by the name localhost another host."""
    with serving(Scripted()) as server:
        yield server


@pytest.fixture
def scripted_https(certificates: Certificates) -> Iterator[Scripted]:
    """The same over TLS, for clients that trust ``certificates.ca``."""
    with serving(Scripted("https"), certificates.server) as server:
        yield server
