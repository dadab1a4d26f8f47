"""`framescope doctor`: looks at everything framescope needs here, and says what to change.

Each check is a function of injected I/O that returns a `Finding`. The app adds its own through the
entry-point group ``framescope.checks``: functions of a `Scene` that return findings.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.metadata
import json
import logging
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from framescope.agent.lifecycle import cannot_start, command
from framescope.config import (
    EMITTER,
    FILE_VARIABLE,
    ConfigError,
    ReadFile,
    emitter_settings,
    read_text,
    resolve,
)
from framescope.exit_codes import BROKEN, OK, UNREACHABLE
from framescope.platforms import TABLE, Machine
from framescope.trial import Trial, send

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

Status = Literal["ok", "warn", "fail", "skip"]
CHECKS: Final = "framescope.checks"
"""Entry-point group of the checks that other packages bring."""
TIMEOUT_SECONDS: Final = 3.0
AGENT_SECONDS: Final = 30.0
LOOPBACK_GRPC: Final = "http://localhost:4317"
LOOPBACK_HTTP: Final = "http://localhost:4318"
HEALTH_PORT: Final = 13133
"""Where the Collector's health_check extension listens unless told otherwise."""
HEALTH_VARIABLE: Final = "COLLECTOR_HEALTH_PORT"
"""Says otherwise, in otel-collector-config.yaml."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to change where something is wrong.

    ``unreachable`` marks a failure of the way to another process, not of this machine's set-up.
    """

    check: str
    status: Status
    found: str
    change: str = ""
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What the checks look at: the environment, files, and connections, all injected.

    ``connect`` opens a TCP connection to host and port and closes it again; it raises `OSError`.
    ``config`` is the configuration file that was named. ``trial`` is the test frame that was sent, to be
    looked for where frames are read from.
    """

    environ: Mapping[str, str]
    read_file: ReadFile
    connect: Callable[[str, int], None]
    config: Path | None = None
    trial: Trial | None = None


Check = Callable[[Scene], Iterable[Finding]]


def doctor(arguments: Sequence[str]) -> int:
    """Run every check and print the findings; 0 fine, 3 an endpoint is unreachable, 1 otherwise broken."""
    parser = argparse.ArgumentParser(
        prog="framescope doctor",
        description="Look at every link from the recorder to the page, and say what to change.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="configuration file (YAML, TOML or JSON)")
    parser.add_argument(
        "--send-test",
        action="store_true",
        help="send one marked frame, as the service framescope-doctor, and look for it in the backends",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument(
        "--print-config", action="store_true", help="show the emitter's settings and their origin, and end"
    )
    asked = parser.parse_args(arguments)
    if asked.print_config:
        found = resolve(EMITTER, environ=os.environ, read_file=read_text, file=asked.config, strict=False)
        print(found.table())
        return OK
    scene = Scene(os.environ, read_text, _connect, asked.config)
    findings = examine(scene, CHECKS_HERE)
    if asked.send_test:
        sent, trial = send_test(scene, send)
        findings.append(sent)
        scene = replace(scene, trial=trial)
    findings += examine(scene, _contributed())
    print(json.dumps(as_object(findings), indent=2) if asked.json else as_text(findings))
    return exit_code(findings)


def examine(scene: Scene, checks: Sequence[Check]) -> list[Finding]:
    """All findings. A check that fails itself is a finding too, never the end of the others."""
    findings: list[Finding] = []
    for check in checks:
        try:
            findings.extend(check(scene))
        except Exception as error:
            name = getattr(check, "__name__", "check")
            findings.append(
                Finding(name, "fail", f"the check itself failed: {type(error).__name__}: {error}")
            )
    return findings


def exit_code(findings: Sequence[Finding]) -> int:
    failed = [finding for finding in findings if finding.status == "fail"]
    if any(finding.unreachable for finding in failed):
        return UNREACHABLE
    return BROKEN if failed else OK


def as_object(findings: Sequence[Finding]) -> dict[str, object]:
    return {"exit_code": exit_code(findings), "checks": [asdict(finding) for finding in findings]}


def as_text(findings: Sequence[Finding]) -> str:
    wide = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<4}  {finding.check:<{wide}}  {finding.found}")
        if finding.change:
            lines.append(f"{'':<4}  {'':<{wide}}  → {finding.change}")
    counts = {status: sum(f.status == status for f in findings) for status in ("ok", "warn", "fail", "skip")}
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items()))
    return "\n".join(lines)


def _contributed() -> list[Check]:
    checks: list[Check] = []
    for point in importlib.metadata.entry_points(group=CHECKS):
        try:
            checks.append(point.load())
        except ImportError as error:
            checks.append(_absent(point.name, error))
    return checks


def _absent(name: str, error: ImportError) -> Check:
    def check(scene: Scene) -> list[Finding]:
        change = "pip install 'framescope[ui]' where the app is wanted"
        return [Finding(name, "skip", f"not installed ({error})", change)]

    return check


# --- this process -----------------------------------------------------------------------------------


def versions(scene: Scene) -> list[Finding]:
    """Python and the packages framescope stands on."""
    found = [f"Python {platform.python_version()}", f"{platform.system()} {platform.release()}"]
    for name in ("framescope", "opentelemetry-sdk", "psutil", "nvidia-ml-py"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return [Finding("versions", "ok", ", ".join(found))]


def configuration(scene: Scene) -> list[Finding]:
    """The emitter's settings: can they be read, and is recording on?"""
    try:
        settings = emitter_settings(_with_file(scene), scene.read_file)
    except ConfigError as error:
        return [Finding("configuration", "fail", problem, "correct it there") for problem in error.problems]
    findings = [Finding("configuration", "warn", text, "correct the name") for text in settings.warnings]
    if not settings.enabled:
        change = "unset FRAMESCOPE_ENABLED and KPI_LOGGING, or set emitter.enabled"
        return [*findings, Finding("configuration", "warn", "recording is switched off", change)]
    text = (
        f"agent as {settings.agent}, keep {settings.keep_budget:g} frames/s, baseline 1/{settings.baseline}"
    )
    return [*findings, Finding("configuration", "ok", text)]


def _with_file(scene: Scene) -> Mapping[str, str]:
    """The environment, with the configuration file where one was named by the flag."""
    return scene.environ if scene.config is None else {**scene.environ, FILE_VARIABLE: str(scene.config)}


def clock(scene: Scene) -> list[Finding]:
    """The monotonic clock frames are timed with: its source and its resolution."""
    resolution = time.get_clock_info("monotonic").resolution
    try:
        path = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        source = scene.read_file(path).strip()
    except OSError:
        source = "unknown"
    text = f"clock source {source}, resolution {resolution * 1e9:.0f} ns"
    if source in ("hpet", "acpi_pm", "jiffies"):
        change = (
            "this source costs a microsecond or more a reading; boot with tsc where the machine allows it"
        )
        return [Finding("clock", "warn", text, change)]
    return [Finding("clock", "ok", text)]


def evidence(scene: Scene) -> list[Finding]:
    """What can be recorded and read on this machine, and why the rest cannot: this machine's column of the
    table in docs/platforms.md."""
    there: list[str] = []
    findings: list[Finding] = []
    machine = Machine(scene.read_file)
    for line in TABLE:
        if line.look is None:
            continue
        missing = line.look(machine)
        if missing is None:
            there.append(line.name)
        else:
            status: Status = "warn" if missing.change else "skip"
            findings.append(Finding("evidence", status, f"{line.name}: {missing.reason}", missing.change))
    return [Finding("evidence", "ok", "; ".join(there)), *findings]


def gpu(scene: Scene) -> list[Finding]:
    """NVML: is a GPU seen, and if not, why."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        change = {
            pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
                "no NVIDIA driver library here; in a container start with --gpus all or the NVIDIA runtime"
            ),
            pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "load the driver (nvidia-smi says more)",
            pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver and library differ: reboot after the update",
        }.get(error.value, "see what nvidia-smi says")
        return [Finding("gpu", "warn", f"no GPU readings: {error}", change)]
    try:
        count = pynvml.nvmlDeviceGetCount()
        names = [str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(i))) for i in range(count)]
        driver = pynvml.nvmlSystemGetDriverVersion()
    except pynvml.NVMLError as error:
        return [Finding("gpu", "warn", f"NVML answers, a GPU does not: {error}", "see what nvidia-smi says")]
    finally:
        pynvml.nvmlShutdown()
    if not names:
        return [Finding("gpu", "warn", f"driver {driver}, but no GPU", "make a GPU visible to this process")]
    return [Finding("gpu", "ok", f"driver {driver}: {', '.join(names)}")]


def agent(scene: Scene) -> list[Finding]:
    """Start an agent as a host would, and end it as a host's end does."""
    if obstacle := cannot_start():
        return [Finding("agent", "ok", f"it is a thread of the host: {obstacle}")]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        try:
            started = subprocess.Popen(
                command(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                env={**scene.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            change = "set FRAMESCOPE_AGENT=thread where no second process may be started"
            return [Finding("agent", "fail", f"a helper process did not start: {error}", change)]
    # Both of our ends are closed now, which tells the agent that its host is gone.
    try:
        said = started.communicate(timeout=AGENT_SECONDS)[1].strip().splitlines()
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()
        return [Finding("agent", "fail", f"it did not end within {AGENT_SECONDS:.0f} s", "see its log")]
    if started.returncode:
        text = said[-1] if said else f"exit status {started.returncode}"
        return [Finding("agent", "fail", f"a helper process ended early: {text}", "correct what it names")]
    return [Finding("agent", "ok", "a helper process starts and ends as it should")]


# --- the way out ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one signal is sent: as the OTLP exporters of the SDK would read it from the environment."""

    signal: Literal["traces", "metrics"]
    protocol: str
    url: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. Raises `ValueError` where the URL has none that can be read."""
        parts = self._parts()
        if not parts.hostname:
            raise ValueError(f"{self.shown} names no host")
        secure = parts.scheme == "https"
        usual = 443 if secure else 4317 if self.protocol == "grpc" else 4318
        return parts.hostname, parts.port or usual

    @property
    def shown(self) -> str:
        """The URL without a user's name and password, query and fragment."""
        try:
            parts = self._parts()
        except ValueError:
            return "a URL that cannot be read"
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        return urllib.parse.urlunsplit(bare).removeprefix("//")

    def _parts(self) -> urllib.parse.SplitResult:
        return urllib.parse.urlsplit(self.url if "//" in self.url else f"//{self.url}")


def endpoints(environ: Mapping[str, str]) -> list[Endpoint]:
    """The endpoints of traces and metrics: the signal's own variables before the general ones."""
    found: list[Endpoint] = []
    for signal in ("traces", "metrics"):
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_"
        general = "OTEL_EXPORTER_OTLP_"
        protocol = environ.get(own + "PROTOCOL") or environ.get(general + "PROTOCOL") or "http/protobuf"
        usual = LOOPBACK_GRPC if protocol == "grpc" else LOOPBACK_HTTP
        url = environ.get(own + "ENDPOINT") or environ.get(general + "ENDPOINT") or usual
        found.append(Endpoint("traces" if signal == "traces" else "metrics", protocol, url))
    return found


def otlp(scene: Scene) -> list[Finding]:
    """Each OTLP endpoint: does it take a connection, and does it take an empty export?"""
    if scene.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return [Finding("otlp", "warn", "OTEL_SDK_DISABLED=true: nothing is sent", "unset it")]
    return [reached(endpoint, scene, _export_nothing) for endpoint in endpoints(scene.environ)]


def collector_health(scene: Scene) -> list[Finding]:
    """What the Collector's health_check extension says, where it has one."""
    check = "collector health"
    given = scene.environ.get(HEALTH_VARIABLE, "")
    port = int(given) if given.isdecimal() else HEALTH_PORT
    try:
        host = endpoints(scene.environ)[0].address[0]
        scene.connect(host, port)
    except (ValueError, OSError):
        change = (
            f"nothing to do without a Collector; else switch its health_check on, or set {HEALTH_VARIABLE}"
        )
        return [Finding(check, "skip", f"nothing answers on port {port}", change)]
    try:
        status = _fetch_status(host, port)
    except (OSError, http.client.HTTPException) as error:
        return [Finding(check, "warn", f"{host}:{port}: {error}", "see whether a Collector listens there")]
    if status != http.client.OK:
        change = "see the Collector's log: it runs and says that it cannot work"
        return [Finding(check, "fail", f"{host}:{port} answers {status}", change, unreachable=True)]
    return [Finding(check, "ok", f"{host}:{port} says it is well")]


def _fetch_status(host: str, port: int) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def send_test(scene: Scene, sender: Callable[[Mapping[str, str]], Trial]) -> tuple[Finding, Trial | None]:
    """Send the test frame; it is looked for by the checks of whoever reads."""
    check = "test frame: sent"
    if scene.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Finding(check, "fail", "OTEL_SDK_DISABLED=true: nothing is sent", "unset it"), None
    try:
        trial = sender(_with_file(scene))
    except RuntimeError as error:
        return Finding(check, "fail", f"not sent: {error}", "correct what it names"), None
    return Finding(check, "ok", f"one frame of service {trial.service}, number {trial.sequence}"), trial


def reached(endpoint: Endpoint, scene: Scene, export: Callable[[Endpoint], bool]) -> Finding:
    check = f"otlp {endpoint.signal}"
    text = f"{endpoint.shown} ({endpoint.protocol})"
    if endpoint.protocol not in ("grpc", "http/protobuf"):
        change = "set OTEL_EXPORTER_OTLP_PROTOCOL to grpc or http/protobuf"
        return Finding(check, "fail", f"protocol {endpoint.protocol} is not supported", change)
    try:
        host, port = endpoint.address
    except ValueError as error:
        return Finding(check, "fail", f"not an address: {error}", "correct OTEL_EXPORTER_OTLP_ENDPOINT")
    try:
        scene.connect(host, port)
    except OSError as error:
        change = (
            "start the Collector or `framescope store` there, or set OTEL_EXPORTER_OTLP_ENDPOINT"
            if host in ("localhost", "127.0.0.1", "::1")
            else "check name, port and firewall, or set OTEL_EXPORTER_OTLP_ENDPOINT"
        )
        return Finding(check, "fail", f"{text}: {error.strerror or error}", change, unreachable=True)
    if not export(endpoint):
        change = (
            "something listens there, but it did not take an empty OTLP export: check protocol and headers"
        )
        return Finding(check, "fail", f"{text}: connected, export refused", change, unreachable=True)
    return Finding(check, "ok", f"{text}: an empty export was taken")


def _export_nothing(endpoint: Endpoint) -> bool:
    """An empty batch through the SDK's own exporter, configured by the environment as the agent's is."""
    from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
    from opentelemetry.sdk.trace.export import SpanExportResult

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # the finding says it, once
    if endpoint.signal == "traces":
        spans = _span_exporter(endpoint.protocol)
        try:
            return spans.export([]) is SpanExportResult.SUCCESS
        finally:
            spans.shutdown()
    metrics = _metric_exporter(endpoint.protocol)
    try:
        return metrics.export(MetricsData([])) is MetricExportResult.SUCCESS
    finally:
        metrics.shutdown()


def _span_exporter(protocol: str) -> SpanExporter:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as over_grpc

        return over_grpc.OTLPSpanExporter(timeout=TIMEOUT_SECONDS)
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http

    return over_http.OTLPSpanExporter(timeout=TIMEOUT_SECONDS)


def _metric_exporter(protocol: str) -> MetricExporter:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as over_grpc

        return over_grpc.OTLPMetricExporter(timeout=TIMEOUT_SECONDS)
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as over_http

    return over_http.OTLPMetricExporter(timeout=TIMEOUT_SECONDS)


def _connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=TIMEOUT_SECONDS).close()


CHECKS_HERE: Final[tuple[Check, ...]] = (
    versions,
    configuration,
    clock,
    evidence,
    gpu,
    agent,
    otlp,
    collector_health,
)
