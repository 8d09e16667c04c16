"""Sending one blob to a registry: taken over from a repository of its own, else POST and PUT, taken up after a break.

Source: OCI distribution-spec 1.1, "Pushing blobs" and "Mounting a blob from another repository". The last bytes are
sent only once all of them fit the digest: wrong ones never become a blob, whatever the registry would check.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlencode

from flywheel_assets.adapters.http.answers import refusal
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.adapters.http.wire import Octets
from flywheel_assets.adapters.oci.auth import Access, Scopes, scope
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import PublicationError, UnreadableError

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_CONTENT = "application/octet-stream"
_FORGOTTEN = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}


class Upload:
    """One blob on its way to the repository ``name``. ``attempt`` until it returns; each goes on where it can.

    ``chunks`` are iterated once per attempt. ``origin`` is a repository of the same registry that has the blob.
    """

    def __init__(
        self, access: Access, name: str, chunks: Iterable[Octets], digest: Sha256, size: int, *, origin: str = ""
    ) -> None:
        self._access, self._name, self._origin = access, name, origin
        self._chunks, self._digest, self._size = chunks, digest, size
        self._scopes: Scopes = (scope(name, "pull", "push"), *([scope(origin, "pull")] if origin else ()))
        self._location = ""
        self.kept = 0
        """Bytes that the registry had kept when an attempt last asked it."""

    def attempt(self) -> None:
        """Raises UnreadableError or RateLimitedError when another attempt may help; PublicationError when not."""
        sent = self._committed() if self._location else 0
        if not self._location and self._begin():
            return
        if sent:
            self._patch(sent)
            self._put(iter(()), 0)
        else:
            self._put(self._verified(0), self._size)

    def _begin(self) -> bool:
        """Ask for a place to send to; True when the blob was taken over from ``origin``."""
        target = f"/v2/{self._name}/blobs/uploads/"
        if self._origin:
            target += "?" + urlencode({"mount": str(self._digest), "from": self._origin})
        with self._access.request("POST", target, self._scopes, headers={}, body=b"") as response:
            if response.status == HTTPStatus.CREATED and self._origin:
                self._demand_digest(response)
                return True
            if response.status != HTTPStatus.ACCEPTED:
                self._refuse(response)
            self._follow(response)
        return False

    def _committed(self) -> int:
        """How many bytes a broken upload has kept. 0, and no location, when it must be begun anew."""
        with self._access.request("GET", self._location, self._scopes, headers={}) as response:
            match = _RANGE.fullmatch(response.header("Range").strip())
            kept = int(match[1]) + 1 if match and response.status == HTTPStatus.NO_CONTENT else 0
            # "0-0" is what registries answer for nothing at all, too.
            if not 1 < kept < self._size:
                self._location = ""
                return 0
            self._follow(response)
        self.kept = kept
        return kept

    def _patch(self, start: int) -> None:
        headers = {"Content-Type": _CONTENT, "Content-Range": f"{start}-{self._size - 1}"}
        body, length = self._verified(start), self._size - start
        response = self._access.request(
            "PATCH", self._location, self._scopes, headers=headers, body=body, length=length
        )
        with response:
            if response.status not in {HTTPStatus.ACCEPTED, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT}:
                self._refuse(response)
            self._follow(response)

    def _put(self, body: Iterator[Octets], length: int) -> None:
        target = f"{self._location}{'&' if '?' in self._location else '?'}{urlencode({'digest': str(self._digest)})}"
        headers = {"Content-Type": _CONTENT}
        response = self._access.request("PUT", target, self._scopes, headers=headers, body=body, length=length)
        with response:
            if response.status not in {HTTPStatus.CREATED, HTTPStatus.NO_CONTENT}:
                self._refuse(response)
            self._demand_digest(response)

    def _verified(self, start: int) -> Iterator[Octets]:
        """The bytes from ``start``; all are hashed, and the last chunk is held back until they fit."""
        hasher, size = hashlib.sha256(), 0
        last: Octets = b""
        for chunk in self._chunks:
            if last:
                yield last
            hasher.update(chunk)
            size += len(chunk)
            if size > self._size:
                break
            last = chunk[max(0, len(chunk) - (size - start)) :]
        if size != self._size or hasher.hexdigest() != self._digest.hex:
            found = f"sha256:{hasher.hexdigest()}" if size <= self._size else "something longer"
            raise PublicationError(
                f"{self._digest} shall be {self._size:,} bytes, but the source gave {min(size, self._size):,} bytes, "
                f"{found}. Nothing was kept; inspect the source again."
            )
        if last:
            yield last

    def _follow(self, response: Response) -> None:
        """Send to where the registry says from now on. LedAstrayError when it may not lead there."""
        location = response.header("Location")
        if location:
            self._location = self._access.client.places.resolve(location, response.location).geturl()
        if not self._location:
            raise PublicationError(f"{response.url} does not say where {self._digest} is to be sent. Look at it.")

    def _demand_digest(self, response: Response) -> None:
        stored = response.header("Docker-Content-Digest")
        if stored and stored != str(self._digest):
            raise PublicationError(f"{response.url} stored something else than {self._digest}. Look at the registry.")

    def _refuse(self, response: Response) -> NoReturn:
        if self._location and response.status in _FORGOTTEN:
            self._location = ""
            raise UnreadableError(f"{response.url} has lost the upload of {self._digest}. It is begun anew.")
        raise refusal(response, f"the upload of {self._digest}")
