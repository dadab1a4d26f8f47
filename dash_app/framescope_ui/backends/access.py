"""How a backend over HTTP is reached: its address, what is sent along, and how it is trusted."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


def _nothing() -> Mapping[str, str]:
    return {}


class CredentialError(ValueError):
    """A credential that cannot be used now. Its text names the setting and never quotes a secret."""


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials of one backend.

    ``url`` is http or https, with the path prefix it is served under and without credentials.
    ``headers`` gives the headers of one request (authorization, tenant, the user's own); it is asked
    each time, because tokens in files are renewed, and it is never shown. ``timeout_seconds`` is for one
    question. Raises ``ValueError`` for an address that is none or that carries a password.
    """

    url: str
    headers: Callable[[], Mapping[str, str]] = field(default=_nothing, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address starts with http:// or https:// and names a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("an address must not carry a password: give it by a file or the environment")
        if parts.query or parts.fragment:
            raise ValueError("an address ends with its path: no ? and no #")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("a client certificate and its key go together")

    @property
    def base(self) -> str:
        """The address with its prefix and without a slash at the end."""
        return self.url.rstrip("/")

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        parts = urlsplit(self.url)
        return parts.netloc

    def trust(self) -> ssl.SSLContext | bool:
        """What httpx verifies by. Raises ``OSError`` or ``ssl.SSLError`` for files that cannot be used."""
        if self.ca_file is None and self.cert_file is None:
            return True
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        if self.cert_file is not None:
            key = str(self.key_file) if self.key_file else None
            context.load_cert_chain(str(self.cert_file), key, password=_no_passphrase)
        return context


def _no_passphrase() -> str:
    """In OpenSSL's place, which would ask on the terminal and wait."""
    raise OSError(errno.EINVAL, "the key is encrypted: give one without a passphrase")
