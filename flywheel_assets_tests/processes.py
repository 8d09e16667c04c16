"""Real servers as plain processes on free ports of 127.0.0.1."""

import http.client
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

START_SECONDS = 30.0


class ServerFailedError(Exception):
    """A server did not start; the message has the end of its log."""


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A process that serves HTTP at ``port``; its data and its log are in ``folder``."""

    def __init__(self, folder: Path, command: Callable[[int], list[str]]) -> None:
        self.folder = folder
        self.port = free_port()
        self._command = command(self.port)
        self.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerFailedError(f"{self._command} does not serve: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and wait for that."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """The same server at the same port, on the data that it had; every connection to it is cut."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True


@contextmanager
def running(folder: Path, command: Callable[[int], list[str]]) -> Iterator[Server]:
    """A server for as long as the block runs."""
    server = _on_a_port_that_stays_free(folder, command)
    try:
        yield server
    finally:
        server.stop()


def _on_a_port_that_stays_free(folder: Path, command: Callable[[int], list[str]]) -> Server:
    """Started; once more on another port when somebody else took the first one in the meantime."""
    try:
        return Server(folder, command)
    except ServerFailedError:
        return Server(folder, command)
