"""What the app reads from: the settings of a backend, and what is really sent to it."""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.config import ConfigError, Configuration, FlagParser, read_text, resolve
from framescope_ui import settings
from framescope_ui.backends.access import CredentialError
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.http_api import HttpApi
from framescope_ui.backends.protocols import BackendAway, BackendRefused
from framescope_ui.connections import Connection, Signal, connection, open_stores, parse_headers

TABLE = settings.every_setting({}, Path("/home/somebody"))


def configured(text: str = "", flags: Mapping[str, object] | None = None, **environ: str) -> Configuration:
    """Settings from a YAML text and variables given without FRAMESCOPE_; other files are really read."""

    def read(path: Path) -> str:
        return text if path == Path("framescope.yaml") else read_text(path)

    named = {f"FRAMESCOPE_{name}": value for name, value in environ.items()}
    return resolve(TABLE, environ=named, read_file=read, flags=flags)


def refused(text: str = "", signal: Signal = "traces", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        connection(configured(text, **environ), signal)
    return str(caught.value)


# --- which backend ----------------------------------------------------------------------------------


def test_without_settings_both_signals_are_read_from_one_embedded_store() -> None:
    stores = open_stores(configured())
    assert isinstance(stores.traces, EmbeddedStore)
    assert stores.traces is stores.metrics


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("http://tempo:3200", "tempo"),
        ("https://traces.example/tempo", "tempo"),
        ("http://10.0.0.7:16686", "jaeger"),
        ("https://jaeger.example", "jaeger"),
        ("https://traces.example/jaeger", "jaeger"),
    ],
)
def test_an_address_alone_is_read_as_what_it_looks_like(url: str, backend: str) -> None:
    assert connection(configured(TRACES_URL=url), "traces").backend == backend


def test_metrics_at_an_address_are_asked_of_prometheus() -> None:
    found = connection(configured("metrics: {url: 'http://mimir/prometheus/'}"), "metrics")
    assert found.backend == "prometheus"
    assert found.access is not None and found.access.base == "http://mimir/prometheus"


def test_a_backend_that_is_named_goes_before_what_the_address_looks_like() -> None:
    found = configured("traces: {url: 'http://jaeger:16686', backend: tempo}")
    assert connection(found, "traces").backend == "tempo"


def test_the_embedded_store_when_named_sets_addresses_and_credentials_aside() -> None:
    text = "traces: {url: 'http://tempo:3200', username: reader}"
    found = configured(text, flags={"traces.backend": "embedded"})
    assert connection(found, "traces") == Connection("traces", "embedded")


def test_a_backend_without_an_address_says_what_to_set() -> None:
    assert "set traces.url too" in refused("traces: {backend: tempo}")


def test_credentials_without_an_address_are_not_passed_over() -> None:
    said = refused(TRACES_BEARER="s3cret")
    assert "traces.bearer (environment FRAMESCOPE_TRACES_BEARER)" in said
    assert "Set traces.url" in said and "s3cret" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{backend: tempoo}", "expected one of embedded, tempo, jaeger"),
        ("{backend: prometheus}", "expected one of embedded, tempo, jaeger"),
        ("{url: 'tempo:3200'}", "expected an address such as http://host:9090/prefix"),
        ("{url: 'ftp://tempo'}", "http or https"),
        ("{url: 'http://tempo:99999'}", "expected an address"),
        ("{url: 'http://tempo/?token=s3cret'}", "no ? and no #"),
        ("{url: 'http://me:s3cret@tempo'}", "must not carry a user and a password"),
        ("{url: 'http://s3cret@tempo'}", "must not carry a user and a password"),
        ("{urll: 'http://tempo'}", "did you mean traces.url?"),
        ("{passwort_file: /x}", "did you mean traces.password_file?"),
        ("{timeout: 0}", "a duration"),
    ],
)
def test_a_wrong_value_says_what_is_right_and_quotes_no_secret(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(f"traces: {text}")
    assert said in str(caught.value) and "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("username: reader", "set traces.password too by its variable or by password_file"),
        ("cert_file: /c.pem", "set traces.key_file too"),
        ("key_file: /k.pem", "set traces.cert_file too"),
        ("ca_file: /ca.pem", "certificates need an address that begins with https://"),
        ("tenant: 'ä'", "printable ASCII"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(text: str, said: str) -> None:
    assert said in refused(f"traces: {{url: 'http://tempo', {text}}}")


def test_two_ways_into_one_header_are_refused() -> None:
    given = {"TRACES_URL": "http://tempo", "TRACES_USERNAME": "me", "TRACES_PASSWORD": "s3cret"}
    assert "unset one" in refused(**given, TRACES_BEARER="s3cret")
    said = refused(**given, TRACES_HEADERS="authorization=s3cret")
    assert "authorization is there by another setting already" in said and "s3cret" not in said


def test_a_password_that_is_not_utf_8_is_refused_without_being_quoted() -> None:
    password = os.fsdecode(b"s3cr\xe9t")  # as a variable in Latin-1 is read
    said = refused(TRACES_URL="http://tempo", TRACES_USERNAME="me", TRACES_PASSWORD=password)
    assert "traces.password: one of them is not UTF-8" in said and "s3cr" not in said


# --- secrets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["password: s3cret", "bearer: s3cret", "headers: {X-Key: s3cret}"])
def test_a_secret_in_the_file_is_an_error_that_says_what_to_do(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(f"traces: {{url: 'http://tempo', {text}}}")
    said, name = str(caught.value), text.partition(":")[0]
    assert f"traces.{name}_file" in said and f"FRAMESCOPE_TRACES_{name.upper()}" in said
    assert "s3cret" not in said


def test_a_secret_on_the_command_line_is_an_error_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        FlagParser("framescope ui", "", TABLE).parse_strictly(["--traces-password=s3cret"])
    said = capsys.readouterr().err
    assert "traces.password_file" in said and "FRAMESCOPE_TRACES_PASSWORD" in said
    assert "s3cret" not in said


def test_what_is_in_force_shows_where_a_secret_comes_from_and_never_the_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    found = configured(
        f"traces: {{url: 'http://tempo', bearer_file: {tmp_path / 'token'}}}",
        METRICS_URL="http://prometheus",
        METRICS_USERNAME="reader",
        METRICS_PASSWORD="s3cret",
        METRICS_HEADERS="x-key=s3cret",
    )
    both = connection(found, "traces"), connection(found, "metrics")
    for shown in (found.table(), repr(found), repr(both), str(both)):
        assert "s3cret" not in shown
    assert "framescope.yaml: traces.bearer_file" in found.table()
    assert "environment FRAMESCOPE_METRICS_PASSWORD" in found.table()


def test_a_file_of_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.*cannot be read|cannot be read.*none"):
        configured(TRACES_URL="http://tempo", TRACES_BEARER_FILE=str(tmp_path / "none"))


# --- headers ----------------------------------------------------------------------------------------


def test_headers_are_lines_or_pairs() -> None:
    wanted = {"X-Key": "a b=c", "X-Other": "1"}
    assert parse_headers("h", "# ours\nX-Key: a b=c\n\nX-Other:1\n") == wanted
    assert parse_headers("h", "X-Key=a%20b%3Dc,X-Other=1") == wanted


@pytest.mark.parametrize(
    "text",
    [
        "s3cret",
        "X Key=s3cret",
        "x-key=s3cret%0d%0aevil: 1",
        "X-Key: s3crét",
        "Host: s3cret",
        "x=s3cret,X=s3cret",
    ],
)
def test_headers_that_cannot_be_sent_are_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        parse_headers("traces.headers", text)
    assert "traces.headers" in str(caught.value) and "s3cr" not in str(caught.value)


@given(st.text())
def test_whatever_is_given_as_headers_no_line_can_be_smuggled_in(text: str) -> None:
    try:
        headers = parse_headers("h", text)
    except CredentialError:
        return
    for name, value in headers.items():
        assert all("!" <= letter <= "~" and letter not in ':"(),/;<=>?@[\\]{}' for letter in name)
        assert all(" " <= letter <= "~" or letter == "\t" for letter in value)


# --- a real server ----------------------------------------------------------------------------------


class Recorded(ThreadingHTTPServer):
    """Answers ``{}`` to everything, or 401 while ``closed``; remembers the headers it was sent."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        self.seen: list[Mapping[str, str]] = []
        self.closed = False
        super().__init__(("127.0.0.1", 0), _Answering)
        self.secure = trust is not None
        if trust is not None:
            self.socket = trust.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: a handshake that fails is what a test wants."""


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Recorded)
        server.seen.append({name.lower(): value for name, value in self.headers.items()})
        body = b"no" if server.closed else b"{}"
        self.send_response(401 if server.closed else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Recorded]:
    with Recorded() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


async def ask(found: Configuration, times: int = 1) -> None:
    where = connection(found, "metrics")
    assert where.access is not None
    api = HttpApi("prometheus", where.access)
    try:
        for _ in range(times):
            assert await api.json("GET", "/api") == {}
    finally:
        await api.aclose()


async def test_basic_authentication_and_tenant_are_sent(server: Recorded, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("gehöim\n", encoding="utf-8")
    text = f"metrics: {{url: '{server.url}', username: reader, password_file: {tmp_path / 'password'}}}"
    await ask(configured(text, METRICS_TENANT="team-a"))
    (sent,) = server.seen
    assert base64.b64decode(sent["authorization"].removeprefix("Basic ")).decode() == "reader:gehöim"
    assert sent["x-scope-orgid"] == "team-a"


async def test_a_token_that_is_renewed_in_its_file_is_sent_renewed(server: Recorded, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    where = connection(configured(METRICS_URL=server.url, METRICS_BEARER_FILE=str(token)), "metrics")
    assert where.access is not None
    api = HttpApi("prometheus", where.access)
    await api.get("/api")
    token.write_text("second\n")
    await api.get("/api")
    assert [sent["authorization"] for sent in server.seen] == ["Bearer first", "Bearer second"]
    token.unlink()
    with pytest.raises(BackendRefused, match=r"metrics\.bearer: .*token cannot be read"):
        await api.get("/api")
    await api.aclose()


async def test_headers_of_ones_own_are_sent(server: Recorded) -> None:
    await ask(configured(METRICS_URL=server.url, METRICS_HEADERS="CF-Access-Client-Id=a%20b,X-Api-Key=k"))
    assert (server.seen[0]["cf-access-client-id"], server.seen[0]["x-api-key"]) == ("a b", "k")


async def test_refused_credentials_say_where_to_look_and_never_what_was_sent(
    server: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server.closed = True
    with pytest.raises(BackendRefused) as caught:
        await ask(configured(METRICS_URL=server.url, METRICS_BEARER="s3cret"))
    assert "does not accept the credentials (401)" in str(caught.value)
    assert "s3cret" not in str(caught.value) + caplog.text


# --- certificates -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server's certificate for 127.0.0.1 and a client's, made by openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        reason = "no openssl: install it to try certificates"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("certificates")
    new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    usual = ["-days", "2"]

    def make(name: str, *more: str) -> None:
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"]
        subprocess.run([*new, *usual, *files, *more], cwd=folder, check=True, capture_output=True)

    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    # Python 3.13 and newer trust no authority that does not say it may sign.
    make("ca", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    make("server", *signed, "-addext", "subjectAltName=IP:127.0.0.1")
    make("client", *signed)
    return folder


@pytest.fixture
def secure_server(certificates: Path) -> Iterator[Recorded]:
    """One that only talks to clients with a certificate of its authority."""
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    trust.load_cert_chain(str(certificates / "server.pem"), str(certificates / "server.key"))
    trust.verify_mode = ssl.CERT_REQUIRED
    with Recorded(trust) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


async def test_both_sides_show_their_certificates(secure_server: Recorded, certificates: Path) -> None:
    text = f"""
    metrics:
      url: {secure_server.url}
      ca_file: {certificates / "ca.pem"}
      cert_file: {certificates / "client.pem"}
      key_file: {certificates / "client.key"}
    """
    await ask(configured(text), times=2)
    assert len(secure_server.seen) == 2


async def test_a_server_nobody_vouches_for_is_not_talked_to(secure_server: Recorded) -> None:
    with pytest.raises(BackendAway, match="certificate is not trusted"):
        await ask(configured(METRICS_URL=secure_server.url, METRICS_BEARER="s3cret"))
    assert secure_server.seen == []


async def test_a_client_without_a_certificate_is_turned_away(
    secure_server: Recorded, certificates: Path
) -> None:
    found = configured(METRICS_URL=secure_server.url, METRICS_CA_FILE=str(certificates / "ca.pem"))
    with pytest.raises(BackendAway, match="client certificate"):
        await ask(found)
    assert secure_server.seen == []


def test_an_encrypted_key_is_an_error_and_no_question_on_the_terminal(
    certificates: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    lock = ["openssl", "ec", "-in", "client.key", "-aes256", "-passout", "pass:s3cret", "-out", str(locked)]
    subprocess.run(lock, cwd=certificates, check=True, capture_output=True)
    files = {"METRICS_CERT_FILE": str(certificates / "client.pem"), "METRICS_KEY_FILE": str(locked)}
    with pytest.raises(ConfigError, match="encrypted: give one without a passphrase"):
        open_stores(configured(METRICS_URL="https://mimir", **files))


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not one")
    for name in ("ca.pem", "none.pem"):
        found = configured(METRICS_URL="https://mimir", METRICS_CA_FILE=str(tmp_path / name))
        with pytest.raises(ConfigError, match=r"metrics\.ca_file \(environment FRAMESCOPE_METRICS_CA_FILE\)"):
            open_stores(found)
