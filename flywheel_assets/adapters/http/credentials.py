"""How a surface is shown who asks. Secrets are read late, and never printed."""

import base64
import netrc as netrc_format
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flywheel_assets.domain.errors import UsageError


class Secret:
    """A text that no repr, log or error shows, fetched when it is first needed."""

    __slots__ = ("_source",)

    def __init__(self, source: str | Callable[[], str]) -> None:
        """``source`` is the text, or what fetches it: called each time, so that a rotated secret is seen."""
        self._source = source

    def reveal(self) -> str:
        """The text, for the wire and nothing else.

        Raises what its source raises, and UsageError for what no header can carry; the error does not show it.
        """
        text = self._source() if callable(self._source) else self._source
        if not text.isascii() or not text.isprintable():
            raise UsageError("A secret holds characters that no HTTP header can carry: check for a line end in it.")
        return text

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True)
class Credentials:
    """One of a bearer token, user and password, or a netrc file; and certificates for TLS (PEM files)."""

    bearer: Secret | None = None
    user: str = ""
    password: Secret | None = None
    netrc: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    ca: Path | None = None

    def authorization(self, host: str) -> str | None:
        """The value of an ``Authorization`` header for ``host``; None when there is nothing to show it.

        Raises UsageError when the netrc file cannot be read.
        """
        if self.bearer is not None:
            return f"Bearer {self.bearer.reveal()}"
        basic = self.basic(host)
        if basic is None:
            return None
        encoded = base64.b64encode(f"{basic[0]}:{basic[1].reveal()}".encode()).decode("ascii")
        return f"Basic {encoded}"

    def basic(self, host: str) -> tuple[str, Secret] | None:
        """User and password for ``host``: of basic auth, and of token services that ask for them."""
        if self.password is not None:
            return self.user, self.password
        found = self._netrc.authenticators(host) if self._netrc else None
        return (found[0], Secret(found[2] or "")) if found else None

    @cached_property
    def _netrc(self) -> netrc_format.netrc | None:
        if self.netrc is None:
            return None
        try:
            return netrc_format.netrc(str(self.netrc))
        except OSError as error:
            raise UsageError(f"The netrc file {self.netrc} cannot be read: {error.strerror}.") from error
        except (netrc_format.NetrcParseError, UnicodeDecodeError) as error:
            line = f", line {error.lineno}" if isinstance(error, netrc_format.NetrcParseError) else ""
        # Not while that error is handled: it quotes what it stumbled over, which may be a password.
        raise UsageError(f"{self.netrc}{line} is not in netrc format (curl's manual, FILES).")


ANONYMOUS = Credentials()
