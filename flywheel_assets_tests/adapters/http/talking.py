"""A server that says exactly the bytes it is told to, for answers that no HTTP library would send."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket], None]


@contextmanager
def talking(*talks: Talk) -> Iterator[str]:
    """The URL of a server that holds ``talks``, one a connection, in their order; then it is not reached any more."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        for talk in talks:
            try:
                sock, _ = listener.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=held, args=(talk, sock), daemon=True))
            threads[-1].start()
        listener.close()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        for thread in threads:
            thread.join(5)


def held(talk: Talk, sock: socket.socket) -> None:
    with sock, suppress(OSError):
        sock.settimeout(5)
        talk(sock)


def head_of(sock: socket.socket) -> bytes:
    """One request's head, and not a byte more."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionError
        data += byte
    return data


def answering(*answers: bytes) -> Talk:
    """Each request is answered with the next of ``answers``; after the last one the connection is closed."""

    def talk(sock: socket.socket) -> None:
        for answer in answers:
            head_of(sock)
            sock.sendall(answer)

    return talk


def flooding(start: bytes, piece: bytes) -> Talk:
    """One request is answered with ``start``, and then ``piece`` without an end."""

    def talk(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(start)
        while True:
            sock.sendall(piece)

    return talk


def trickling(start: bytes, piece: bytes) -> Talk:
    """The same, slowly: never silent for long."""

    def talk(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(start)
        while True:
            sock.sendall(piece)
            time.sleep(0.02)

    return talk
