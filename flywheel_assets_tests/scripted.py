"""A small HTTP server whose every answer a test scripts, lies included, and which records what it was asked."""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from flywheel_assets_tests.certificates import Pair

IDLE_SECONDS = 30


@dataclass(frozen=True)
class Asked:
    """A request as it came: ``target`` with its query, ``headers`` by any case, the whole body."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)


@dataclass(frozen=True)
class Answer:
    """What is answered.

    ``body`` may be endless. ``length`` is what Content-Length claims, true or not: without it a body of bytes is
    declared truly, and an iterator is sent chunked. A body that ends before its ``length`` cuts the connection.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    length: int | None = None


Script = Answer | Callable[[Asked], Answer]


class Scripted:
    """``answers`` by ``"GET /path"``, or ``"/path"`` for all methods; ``otherwise`` for the rest. May be changed."""

    def __init__(self, scheme: str = "http") -> None:
        self.answers: dict[str, Script] = {}
        self.otherwise: Script = Answer(404)
        self.asked: list[Asked] = []
        self.scheme, self.port = scheme, 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        script = self.answers.get(f"{asked.method} {asked.path}") or self.answers.get(asked.path) or self.otherwise
        return script if isinstance(script, Answer) else script(asked)


@contextmanager
def serving(scripted: Scripted, pair: Pair | None = None) -> Iterator[Scripted]:
    """Serve on a free port of 127.0.0.1, with TLS when there is a certificate."""

    class Bound(_Handler):
        script = scripted

    server = _Server(("127.0.0.1", 0), Bound)
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scripted.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client may keep its connection open: nobody waits for that.
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that run away are what hostile answers are for: nothing is printed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    # Headers and body are two writes: without this the second one waits for the first one's acknowledgement.
    disable_nagle_algorithm = True
    script: Scripted

    def answer(self) -> None:
        asked = Asked(self.command, self.path, self.headers, self._body())
        answer = self.script.answer(asked)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        length = answer.length
        if length is None and isinstance(answer.body, bytes):
            length = len(answer.body)
        self.send_header(*(("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))))
        self.end_headers()
        if self.command == "HEAD":
            return
        sent = 0
        for piece in (answer.body,) if isinstance(answer.body, bytes) else answer.body:
            self.wfile.write(piece if length is not None else b"%x\r\n%s\r\n" % (len(piece), piece))
            sent += len(piece)
        if length is None:
            self.wfile.write(b"0\r\n\r\n")
        elif sent != length:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the base class asks for these names

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        """Nothing: what was asked is recorded."""
