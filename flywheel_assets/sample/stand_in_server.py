"""A stand-in's replies over HTTP/1.1, on this machine alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = Any
LARGEST_BODY = 256 * 1024


@dataclass(frozen=True)
class Reply:
    """A status and a JSON document; ``hang_up`` ends the connection instead."""

    status: int
    document: Json = None
    headers: tuple[tuple[str, str], ...] = ()
    hang_up: bool = False


Answering = Callable[[str, str, bytes], Reply]
"""From method, target and body to the reply."""


def server(answer: Answering, port: int) -> ThreadingHTTPServer:
    """A stand-in behind HTTP/1.1 on 127.0.0.1."""

    class Bound(_Handler):
        answering = staticmethod(answer)

    return _Server(("127.0.0.1", port), Bound)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    answering: Answering

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        if size > LARGEST_BODY:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        reply = self.answering(self.command, self.path, self.rfile.read(size))
        if reply.hang_up:
            self.close_connection = True
            return
        body = b"" if reply.status == HTTPStatus.NO_CONTENT else json.dumps(reply.document).encode()
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if reply.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 - the base class asks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        """Nothing."""
