"""What the app reads from: the settings ``traces.*`` and ``metrics.*`` turned into backends and credentials.

With an address and no backend named, metrics are asked of Prometheus's interface, and traces of Jaeger where
the address has Jaeger's port (16686) or names it, else of Tempo.
"""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from framescope.config import ConfigError, Configuration, ReadFile, read_text
from framescope_ui.backends.access import Access, CredentialError
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import MetricStore, TraceStore
from framescope_ui.questions.stores import Stores

Signal = Literal["traces", "metrics"]
JAEGER_PORT: Final = 16686
"""Where Jaeger's query service listens unless told otherwise."""
TENANT: Final = "X-Scope-OrgID"
"""The header Mimir, Tempo and Loki know a tenant by."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name: RFC 9110, 5.6.2."""
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_LINE: Final = re.compile(r"\s*[^\s=:]+\s*:")
_OURS: Final = frozenset(
    {"accept", "connection", "content-length", "content-type", "host", "transfer-encoding", "upgrade"}
)
_CREDENTIALS: Final = (
    "username", "password", "bearer", "headers", "tenant", "ca_file", "cert_file", "key_file",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Connection:
    """What one signal is read from. ``access`` is None for the embedded store, which has a socket."""

    signal: Signal
    backend: Literal["embedded", "prometheus", "tempo", "jaeger"]
    access: Access | None = None

    @property
    def in_the_open(self) -> bool:
        """Whether what is sent along could be read on its way to another machine."""
        if self.access is None:
            return False
        parts = urlsplit(self.access.url)
        return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def connection(found: Configuration, signal: Signal, read_file: ReadFile = read_text) -> Connection:
    """What ``signal`` is read from, by its settings.

    Files that hold secrets are read by ``read_file``, once here to see that they can be used and then for
    each question, as tokens are renewed. Raises `ConfigError` for settings that contradict each other.
    """
    url = found.optional_text(f"{signal}.url")
    backend = found.optional_text(f"{signal}.backend") or (
        "embedded" if url is None else _likely(signal, url)
    )
    problems = _contradictions(found, signal, backend, url)
    if problems:
        raise ConfigError(problems)
    if url is None or backend == "embedded":
        return Connection(signal, "embedded")
    headers = _headers(found, signal, read_file)
    try:
        headers()
    except (OSError, CredentialError) as error:
        raise ConfigError([f"{signal}: the credentials cannot be used: {error}"]) from None
    access = Access(
        url=url,
        headers=headers,
        ca_file=found.optional_path(f"{signal}.ca_file"),
        cert_file=found.optional_path(f"{signal}.cert_file"),
        key_file=found.optional_path(f"{signal}.key_file"),
        timeout_seconds=found.number(f"{signal}.timeout"),
    )
    match backend:
        case "prometheus" | "tempo" | "jaeger":
            return Connection(signal, backend, access)
        case _:
            raise AssertionError(backend)


def open_stores(found: Configuration) -> Stores:
    """The backends that are configured. Whoever opens them closes them: ``Stores.aclose``.

    Raises `ConfigError` for settings that contradict each other or certificates that cannot be used.
    """
    traces, metrics = connection(found, "traces"), connection(found, "metrics")
    problems = [*_untrusted(found, traces), *_untrusted(found, metrics)]
    if problems:
        raise ConfigError(problems)
    if traces.access is None and metrics.access is None:
        both = _embedded(found)
        return Stores(both, both)
    return Stores(_traces(found, traces), _metrics(found, metrics))


def _embedded(found: Configuration) -> EmbeddedStore:
    return EmbeddedStore(found.path("data_dir"))


def _traces(found: Configuration, where: Connection) -> TraceStore:
    if where.access is None:
        return _embedded(found)
    if where.backend == "jaeger":
        from framescope_ui.backends.jaeger import JaegerStore

        return JaegerStore(where.access)
    from framescope_ui.backends.tempo import TempoStore

    return TempoStore(where.access)


def _metrics(found: Configuration, where: Connection) -> MetricStore:
    if where.access is None:
        return _embedded(found)
    from framescope_ui.backends.prometheus import PrometheusStore

    return PrometheusStore(where.access)


def _likely(signal: Signal, url: str) -> str:
    """What most likely answers at an address nobody named the backend of."""
    if signal == "metrics":
        return "prometheus"
    parts = urlsplit(url)
    named = "jaeger" in f"{parts.hostname}{parts.path}".lower()
    return "jaeger" if named or parts.port == JAEGER_PORT else "tempo"


def _contradictions(found: Configuration, signal: Signal, backend: str, url: str | None) -> list[str]:
    problems: list[str] = []

    def is_set(name: str) -> bool:
        return found.value(f"{signal}.{name}") is not None

    def said(name: str) -> str:
        return f"{signal}.{name} ({found.origin(f'{signal}.{name}')})"

    if backend == "embedded":
        if is_set("backend"):
            return []  # said in so many words: the rest is set aside, not wrong
        return [
            f"{said(name)}: {signal} are read from the embedded store, which asks for no credentials. "
            f"Set {signal}.url, or unset this"
            for name in _CREDENTIALS
            if is_set(name)
        ]
    if url is None:
        return [f"{said('backend')}: set {signal}.url too, to the address it answers at"]
    if is_set("username") != is_set("password"):
        given, missing = ("username", "password") if is_set("username") else ("password", "username")
        how = " by its variable or by password_file" if missing == "password" else ""
        problems.append(f"{said(given)}: set {signal}.{missing} too{how}, or neither")
    if is_set("bearer") and is_set("password"):
        problems.append(f"{said('bearer')}: there is a password too; unset one, both are for one header")
    if is_set("cert_file") != is_set("key_file"):
        given, missing = ("cert_file", "key_file") if is_set("cert_file") else ("key_file", "cert_file")
        problems.append(f"{said(given)}: set {signal}.{missing} too, or neither")
    if ":" in (found.optional_text(f"{signal}.username") or ""):
        problems.append(f"{said('username')}: a user name of basic authentication holds no colon")
    if is_set("tenant") and not _VALUE.fullmatch(found.text(f"{signal}.tenant")):
        problems.append(f"{said('tenant')}: a header holds only printable ASCII")
    if urlsplit(url).scheme == "http":
        problems += [
            f"{said(name)}: certificates need an address that begins with https://"
            for name in ("ca_file", "cert_file")
            if is_set(name)
        ]
    return problems


def _untrusted(found: Configuration, where: Connection) -> list[str]:
    """What is wrong with the certificates' files."""
    if where.access is None:
        return []
    try:
        where.access.trust()
    except (OSError, ssl.SSLError) as error:
        names = [n for n in ("ca_file", "cert_file", "key_file") if found.value(f"{where.signal}.{n}")]
        which = ", ".join(
            f"{where.signal}.{name} ({found.origin(f'{where.signal}.{name}')})" for name in names
        )
        return [f"{which}: cannot be used: {error.strerror or type(error).__name__}"]
    return []


# --- what is sent along -----------------------------------------------------------------------------


def _headers(found: Configuration, signal: Signal, read_file: ReadFile) -> Callable[[], Mapping[str, str]]:
    """The headers of one question, made anew each time."""
    username, tenant = found.optional_text(f"{signal}.username"), found.optional_text(f"{signal}.tenant")
    password, bearer, more = (
        _secret(found, f"{signal}.{name}", read_file) for name in ("password", "bearer", "headers")
    )

    def headers() -> Mapping[str, str]:
        made: dict[str, str] = {}
        if tenant is not None:
            made[TENANT] = tenant
        if username is not None and password is not None:
            made["Authorization"] = "Basic " + _basic(signal, username, password())
        if bearer is not None:
            made["Authorization"] = "Bearer " + _checked(f"{signal}.bearer", bearer())
        if more is not None:
            taken = {name.lower() for name in made}
            for name, value in parse_headers(f"{signal}.headers", more()).items():
                if name.lower() in taken:
                    raise CredentialError(f"{signal}.headers: {name} is there by another setting already")
                made[name] = value
        return made

    return headers


def _secret(found: Configuration, key: str, read_file: ReadFile) -> Callable[[], str] | None:
    """Gives the secret as it is now; None where none is set."""
    file, given = found.secret_file(key), found.optional_text(key)
    if given is None:
        return None
    if file is None:
        return lambda: given
    return lambda: _read(key, file, read_file)


def _read(key: str, file: Path, read_file: ReadFile) -> str:
    try:
        text = read_file(file).strip()
    except OSError as error:
        raise CredentialError(f"{key}: {file} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise CredentialError(f"{key}: {file} is not text") from None
    if not text:
        raise CredentialError(f"{key}: {file} is empty")
    return text


def parse_headers(key: str, text: str) -> dict[str, str]:
    """Headers from `Name: value` lines (empty ones and those that begin with # are passed over), or from
    ``name=value,name=value`` with values percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS has them
    (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

    Raises `CredentialError`, which quotes no value; ``key`` is the setting it names.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if all(_LINE.match(line) for line in lines):
        pairs = [line.partition(":")[::2] for line in lines]
    else:
        items = [item for line in lines for item in line.split(",") if item.strip()]
        if not all("=" in item for item in items):
            raise CredentialError(f"{key}: expected `Name: value` lines, or name=value,name=value")
        pairs = [(name, unquote(value)) for name, _, value in (item.partition("=") for item in items)]
    headers: dict[str, str] = {}
    for number, (name, value) in enumerate(((n.strip(), v.strip()) for n, v in pairs), start=1):
        if not _NAME.fullmatch(name):
            raise CredentialError(f"{key}: the name of header {number} holds what no name may")
        if name.lower() in _OURS:
            raise CredentialError(f"{key}: {name} is set by the connection itself; leave it out")
        if name.lower() in {known.lower() for known in headers}:
            raise CredentialError(f"{key}: {name} is there twice")
        headers[name] = _checked(f"{key}: {name}", value)
    return headers


def _basic(signal: Signal, username: str, password: str) -> str:
    """As RFC 7617 has it. A variable's bytes that are no UTF-8 come as lone surrogates."""
    try:
        return b64encode(f"{username}:{password}".encode()).decode()
    except UnicodeEncodeError:
        raise CredentialError(f"{signal}.username and {signal}.password: one of them is not UTF-8") from None


def _checked(what: str, value: str) -> str:
    """The value, where a header may hold it."""
    if not _VALUE.fullmatch(value):
        raise CredentialError(f"{what}: its value is empty or holds more than printable ASCII")
    return value
