"""`framescope doctor`: what each check says of a scene, what to change, and the exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope import doctor
from framescope.doctor import Endpoint, Finding, Scene, endpoints, examine, exit_code
from framescope.trial import Trial, send


def scene(
    files: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    refuse: OSError | None = None,
) -> Scene:
    def read(path: Path) -> str:
        try:
            return (files or {})[str(path)]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", str(path)) from None

    def connect(host: str, port: int) -> None:
        if refuse is not None:
            raise refuse

    return Scene(environ or {}, read, connect)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


# --- exit code and output ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([Finding("a", "ok", ""), Finding("b", "warn", ""), Finding("c", "skip", "")], 0),
        ([Finding("a", "fail", "")], 1),
        ([Finding("a", "fail", "", unreachable=True)], 3),
        ([Finding("a", "fail", ""), Finding("b", "fail", "", unreachable=True)], 3),
    ],
)
def test_the_exit_code_tells_unreachable_from_broken(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code


def test_a_check_that_fails_itself_is_a_finding_and_the_others_go_on() -> None:
    def broken(where: Scene) -> list[Finding]:
        raise RuntimeError("oh")

    found = examine(scene(), [broken, lambda where: [Finding("next", "ok", "")]])
    assert [(finding.check, finding.status) for finding in found] == [("broken", "fail"), ("next", "ok")]


def test_the_text_shows_what_to_change_and_counts() -> None:
    text = doctor.as_text([Finding("gpu", "warn", "none", "get one"), Finding("clock", "ok", "tsc")])
    assert "get one" in text
    assert text.splitlines()[-1] == "1 ok, 1 warn, 0 fail, 0 skip"


def test_the_json_is_one_object_with_every_finding() -> None:
    found = json.loads(json.dumps(doctor.as_object([Finding("gpu", "fail", "none", "get one")])))
    assert found["exit_code"] == 1
    assert found["checks"][0] == {
        "check": "gpu", "status": "fail", "found": "none", "change": "get one", "unreachable": False,
    }  # fmt: skip


# --- this machine -----------------------------------------------------------------------------------


def test_a_switched_off_emitter_is_a_warning() -> None:
    finding = only(doctor.configuration(scene(environ={"KPI_LOGGING": "0"})))
    assert finding.status == "warn" and "switched off" in finding.found


def test_a_broken_configuration_is_a_failure_for_each_fault() -> None:
    found = doctor.configuration(scene({"framescope.yaml": "emitter: {agnet: thread, baseline: x}"}))
    assert [finding.status for finding in found] == ["fail", "fail"]


@pytest.mark.parametrize(
    ("source", "status"), [("tsc", "ok"), ("kvm-clock", "ok"), ("hpet", "warn"), ("acpi_pm", "warn")]
)
def test_a_slow_clock_source_is_warned_of(source: str, status: str) -> None:
    path = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    assert only(doctor.clock(scene({path: source + "\n"}))).status == status


def test_evidence_that_is_here_is_one_line_and_what_is_missing_a_line_each() -> None:
    files = {"/proc/thread-self/schedstat": "12 34 5\n", "/proc/self/cgroup": "0::/"}
    there, *missing = doctor.evidence(scene(files))
    assert there.status == "ok" and "run-queue time" in there.found
    (pressure,) = [finding for finding in missing if finding.found.startswith("pressure")]
    assert pressure.status == "warn" and "CONFIG_PSI" in pressure.change


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "container"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "load the driver"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "reboot"),
        (pynvml.NVML_ERROR_UNKNOWN, "nvidia-smi"),
    ],
)
def test_without_a_gpu_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, code: int, advice: str) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(code)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    finding = only(doctor.gpu(scene()))
    assert finding.status == "warn" and advice in finding.change


def test_the_agent_starts_as_a_process_of_its_own() -> None:
    finding = only(doctor.agent(scene()))
    assert finding.status == "ok", finding.found


def test_an_agent_that_cannot_run_says_why() -> None:
    finding = only(doctor.agent(scene(environ={"OTEL_EXPORTER_OTLP_PROTOCOL": "pigeon"})))
    assert finding.status == "fail" and "pigeon" in finding.found


def test_an_agent_that_cannot_be_started_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "command", lambda descriptor: ("/nowhere/python", str(descriptor)))
    finding = only(doctor.agent(scene()))
    assert finding.status == "fail" and "FRAMESCOPE_AGENT=thread" in finding.change


# --- the way out ------------------------------------------------------------------------------------


def test_the_endpoints_are_those_the_exporters_would_use() -> None:
    assert [e.url for e in endpoints({})] == ["http://localhost:4318"] * 2
    assert [e.url for e in endpoints({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})] == [
        "http://localhost:4317"
    ] * 2
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://general:1",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://own:2",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc",
    }
    assert [(e.url, e.protocol) for e in endpoints(environ)] == [
        ("http://own:2", "http/protobuf"),
        ("http://general:1", "grpc"),
    ]


@pytest.mark.parametrize(
    ("protocol", "url", "address"),
    [
        ("grpc", "collector:4317", ("collector", 4317)),
        ("grpc", "http://collector", ("collector", 4317)),
        ("http/protobuf", "http://collector", ("collector", 4318)),
        ("http/protobuf", "https://collector/v1", ("collector", 443)),
        ("http/protobuf", "http://[::1]:9", ("::1", 9)),
    ],
)
def test_an_endpoints_address_is_read_as_the_exporters_read_it(
    protocol: str, url: str, address: tuple[str, int]
) -> None:
    assert Endpoint("traces", protocol, url).address == address


def test_an_unreachable_endpoint_says_where_and_what_to_start() -> None:
    found = list(doctor.otlp(scene(refuse=ConnectionRefusedError(111, "Connection refused"))))
    assert {finding.status for finding in found} == {"fail"}
    assert exit_code(found) == 3
    assert "Connection refused" in found[0].found and "framescope store" in found[0].change


@pytest.mark.parametrize(("taken", "status"), [(True, "ok"), (False, "fail")])
def test_an_endpoint_must_take_an_empty_export_too(taken: bool, status: str) -> None:
    finding = doctor.reached(Endpoint("traces", "grpc", "http://here:1"), scene(), lambda endpoint: taken)
    assert finding.status == status


@pytest.mark.parametrize(
    ("protocol", "url"), [("http/json", "http://here"), ("grpc", "http://"), ("grpc", "http://here:port")]
)
def test_an_endpoint_that_is_no_address_is_a_failure_of_configuration(protocol: str, url: str) -> None:
    finding = doctor.reached(Endpoint("traces", protocol, url), scene(), lambda endpoint: True)
    assert (finding.status, finding.unreachable) == ("fail", False)


@pytest.mark.parametrize(
    "url", ["http://me:s3cret@here:1", "me:s3cret@here:1", "http://here:1/?key=s3cret", "//s3cret@["]
)
def test_a_secret_in_an_endpoint_is_never_shown(url: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
    found = list(doctor.otlp(scene(environ=environ, refuse=ConnectionRefusedError(111, "refused"))))
    assert all("s3cret" not in finding.found for finding in found)


@given(st.text(max_size=40))
def test_no_endpoint_breaks_the_check(url: str) -> None:
    found = doctor.reached(
        Endpoint("metrics", "grpc", url), scene(refuse=OSError("no")), lambda endpoint: True
    )
    assert found.status == "fail"


def test_a_disabled_sdk_is_a_warning_not_a_failure() -> None:
    finding = only(list(doctor.otlp(scene(environ={"OTEL_SDK_DISABLED": "true"}))))
    assert finding.status == "warn"


def test_it_shows_the_settings_in_force_and_where_they_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRAMESCOPE_KEEP_BUDGET", "7")
    assert doctor.doctor(["--print-config"]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "keep_budget" in one]
    assert "7.0" in line
    assert "environment FRAMESCOPE_KEEP_BUDGET" in line


# --- the Collector's health and the test frame --------------------------------------------------------


class _Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.mark.parametrize(("status", "said"), [(200, "ok"), (503, "fail")])
def test_the_collectors_own_word_counts(status: int, said: str) -> None:
    handler = type("Handler", (_Health,), {"status": status})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
            "COLLECTOR_HEALTH_PORT": str(server.server_port),
        }
        finding = only(doctor.collector_health(scene(environ=environ)))
        thread.join()
    assert finding.status == said


def test_where_no_collector_tells_its_health_nothing_is_wrong() -> None:
    refuse = ConnectionRefusedError(111, "refused")
    assert only(doctor.collector_health(scene(refuse=refuse))).status == "skip"


def test_a_test_frame_that_was_sent_can_be_looked_for() -> None:
    finding, trial = doctor.send_test(scene(), lambda environ: Trial(4711, 0))
    assert finding.status == "ok" and "4711" in finding.found
    assert trial == Trial(4711, 0)


def test_a_test_frame_that_could_not_be_sent_says_why() -> None:
    def broken(environ: Mapping[str, str]) -> Trial:
        raise RuntimeError("no room")

    finding, trial = doctor.send_test(scene(), broken)
    assert (finding.status, trial) == ("fail", None)
    assert "no room" in finding.found


def test_a_disabled_sdk_cannot_send_a_test_frame() -> None:
    finding, trial = doctor.send_test(scene(environ={"OTEL_SDK_DISABLED": "true"}), send)
    assert (finding.status, trial) == ("fail", None)
