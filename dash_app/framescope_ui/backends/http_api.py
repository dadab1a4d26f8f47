"""One backend's HTTP interface: bounded answers, and errors as the protocols name them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from typing import Any, Final

import httpx

from framescope_ui.backends.access import Access, CredentialError
from framescope_ui.backends.protocols import BackendAway, BackendRefused

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""A backend that answers more than this is cut off: the app must outlive a wrong question."""
_SAID: Final = 300
"""Characters of a backend's own error shown to people."""
_AWAY: Final = frozenset({429, 502, 503, 504})
"""Answers that say: not now, perhaps later."""

Params = Sequence[tuple[str, str]]


class HttpApi:
    """Asks one backend. ``name`` is the backend's, as pages show it; ``transport`` is for tests."""

    def __init__(self, name: str, access: Access, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.name = name
        self._access = access
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=access.trust(),
            timeout=access.timeout_seconds,
            trust_env=False,
            follow_redirects=False,  # a redirect could carry the credentials elsewhere
        )

    @property
    def place(self) -> str:
        """Host and port it is asked at."""
        return self._access.place

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._http.aclose()

    async def get(self, path: str, params: Params = (), accept: str = "application/json") -> bytes | None:
        """The body answered to a GET; None for 404.

        Raises ``BackendAway`` where nothing answers or it says "not now", ``BackendRefused`` for an error.
        """
        return await self._ask("GET", path, params, accept)

    async def json(self, method: str, path: str, params: Params = ()) -> Any:
        """The answer read as JSON; None for 404. Raises as ``get``.

        A POST sends the parameters as a form: queries may be longer than an address holds.
        """
        body = await self._ask(method, path, params, "application/json")
        if body is None:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise BackendRefused(
                self.name, f"{self.place}{path} does not answer JSON: is this the right address?"
            ) from None

    async def _ask(self, method: str, path: str, params: Params, accept: str) -> bytes | None:
        try:
            # httpx's own limit is for each piece of an answer: one that trickles in would never end.
            async with asyncio.timeout(self._access.timeout_seconds):
                try:
                    status, body = await self._once(method, path, params, accept)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # An idle connection that the backend closed, or one to a backend that was restarted.
                    status, body = await self._once(method, path, params, accept)
        except (httpx.TimeoutException, TimeoutError):
            raise BackendAway(self.name, f"{self.place} did not answer in time") from None
        except (httpx.TransportError, ssl.SSLError) as error:
            raise BackendAway(self.name, self._no_way(error)) from None
        except (httpx.RequestError, httpx.InvalidURL) as error:
            # A body that its content-encoding does not unpack, or an address that no request can have.
            reason = f"{self.place}{path} cannot be read ({type(error).__name__}): is this the right address?"
            raise BackendRefused(self.name, reason) from None
        except (OSError, ValueError) as error:
            # A credential's file that cannot be read, or holds what no header may.
            raise BackendRefused(self.name, f"its credentials cannot be used: {_kind(error)}") from None
        if status == 404:
            return None
        if 200 <= status < 300:
            return body
        raise self._error(status, body)

    async def _once(self, method: str, path: str, params: Params, accept: str) -> tuple[int, bytes]:
        headers = {"accept": accept, **self._access.headers()}
        url = self._access.base + path
        form = httpx.QueryParams(list(params))
        if method == "POST":
            headers["content-type"] = "application/x-www-form-urlencoded"
            request = self._http.build_request("POST", url, content=str(form).encode(), headers=headers)
        else:
            request = self._http.build_request("GET", url, params=form, headers=headers)
        answer = await self._http.send(request, stream=True)
        try:
            parts, size = [], 0
            async for part in answer.aiter_bytes():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    limit = f"{MAX_ANSWER_BYTES // 1024**2} MiB"
                    raise BackendRefused(self.name, f"it answers more than {limit}: ask for a shorter time")
                parts.append(part)
        finally:
            await answer.aclose()
        return answer.status_code, b"".join(parts)

    def _no_way(self, error: httpx.TransportError | ssl.SSLError) -> str:
        """Why nothing came back, as far as that can be told."""
        if "CERTIFICATE_REQUIRED" in str(error):
            return f"{self.place} asks for a client certificate: set its cert_file and key_file"
        if "CERTIFICATE" in str(error):
            return f"its certificate is not trusted at {self.place}: set its ca_file to who signed it"
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return f"nothing answers at {self.place}"
        hint = " (it may ask for a client certificate)" if self._may_want_certificate else ""
        return f"{self.place} cut the connection{hint}"

    @property
    def _may_want_certificate(self) -> bool:
        return self._access.base.startswith("https:") and self._access.cert_file is None

    def _error(self, status: int, body: bytes) -> BackendAway | BackendRefused:
        if status in (401, 403):
            return BackendRefused(
                self.name, f"{self.place} does not accept the credentials ({status}): check its settings"
            )
        if status in _AWAY:
            return BackendAway(self.name, f"{self.place} says not now ({status}){_said(body)}")
        return BackendRefused(self.name, f"{self.place} answers {status}{_said(body)}")


def _kind(error: OSError | ValueError) -> str:
    """An error without its text where that could quote a secret."""
    return str(error) if isinstance(error, OSError | CredentialError) else type(error).__name__


def _said(body: bytes) -> str:
    text = body[:4096].decode("utf-8", "replace").strip()
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        inner = said.get("error") or said.get("message") or said.get("errorMessage") or text
        text = str(inner.get("message", inner)) if isinstance(inner, dict) else str(inner)
    text = " ".join(text.split())
    return f": {text[:_SAID]}" if text else ""
