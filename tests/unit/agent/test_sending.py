"""Buffers in front of a receiver that is away, and a link to an agent that dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from framescope.agent.__main__ import Inbox
from framescope.agent.anchor import RENEW_NS, WallAnchor
from framescope.agent.answers import answers_to_traces
from framescope.agent.export import Lane, otlp_exporters
from framescope.agent.lifecycle import AgentLink
from framescope.handover import HEADER, MAX_MESSAGE, Batch, pack


def until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@pytest.mark.parametrize("answer", [b"", b"\n\x00"], ids=["empty", "a few bytes"])
def test_messages_to_a_receiver_go_over_one_connection(answer: bytes):
    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(1)
            super().setup()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    connections: list[int] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        receiver.daemon_threads = True
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        session = answers_to_traces()
        for _ in range(3):
            session.post(f"http://127.0.0.1:{receiver.server_port}/v1/traces", data=b"x", timeout=20)
        session.close()
        receiver.shutdown()
    assert len(connections) == 1


def test_a_lane_sends_in_order():
    sent: list[int] = []
    lane = Lane("t", lambda item: not sent.append(item), 100)
    for number in range(20):
        lane.put(number, 1, 1)
    lane.stop(5)
    lane.join()
    assert sent == list(range(20))
    assert lane.lost == {}


def test_a_full_lane_gives_up_the_oldest_and_counts_its_frames():
    lane = Lane("t", lambda item: False, 10)
    for _ in range(12):
        lane.put("x", 2, 3)
    assert lane.lost == {"export_queue_full": 7 * 3}
    lane.stop(0)
    lane.join()


def test_what_cannot_be_sent_at_the_end_is_counted():
    lane = Lane("t", lambda item: False, 10)
    lane.put("x", 1, 4)
    lane.stop(0.1)
    lane.join()
    assert lane.lost == {"export_at_exit": 4}


def test_an_exporter_that_raises_is_an_exporter_that_failed():
    def explode(item: str) -> bool:
        raise RuntimeError

    lane = Lane("t", explode, 10)
    lane.put("x", 1, 1)
    lane.stop(0.1)
    lane.join()
    assert lane.lost == {"export_at_exit": 1}


def test_an_unknown_protocol_says_which_there_are():
    with pytest.raises(ValueError, match="'grpc' or 'http/protobuf'"):
        otlp_exporters({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"})


def test_messages_come_out_of_the_stream_whole_however_it_is_cut():
    messages = [pack(Batch(1, "i", n, 0)) for n in range(3)]
    stream = b"".join(messages)
    for cut in (1, 3, 7, len(stream)):
        inbox = Inbox()
        out = [m for at in range(0, len(stream), cut) for m in inbox.add(stream[at : at + cut])]
        assert out == [(message[HEADER.size :], 0) for message in messages]


def test_a_stream_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="bytes"):
        Inbox().add(HEADER.pack(MAX_MESSAGE + 1, 0))


def test_the_anchor_converts_and_bounds_its_error():
    class Clocks:
        mono, wall = 0, 1_000_000

        def monotonic(self) -> int:
            self.mono += 10
            return self.mono

    clocks = Clocks()
    anchor = WallAnchor(clocks.monotonic, lambda: clocks.mono + 1_000_000)
    assert abs(anchor.unix_ns(500) - 1_000_500) <= anchor.error_ns
    clocks.mono += RENEW_NS
    stepped = WallAnchor(clocks.monotonic, lambda: clocks.mono + 1_000_000)
    stepped._wall = lambda: clocks.mono + 6_000_000  # somebody set the clock 5 ms on
    stepped._taken_ns -= RENEW_NS
    stepped.renew(clocks.mono)
    assert stepped.error_ns >= 5_000_000


def link(*code: str) -> AgentLink:
    return AgentLink(start=lambda fd: (sys.executable, "-c", *code, str(fd)))


SWALLOW = "import sys,socket\ns=socket.socket(fileno=int(sys.argv[1]))\nwhile s.recv(65536): pass"


def test_frames_an_agent_took_down_with_it_are_counted_and_another_is_started():
    made = link(SWALLOW)
    assert made.revive()
    made.send(pack(Batch(1, "i", 0, 0)), 5)
    first = made._process
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with pytest.raises(OSError):
        for _ in range(100):
            made.send(pack(Batch(1, "i", 0, 0)), 0)
    assert made.losses() == {"agent_died": 5}
    until(made.revive)
    made.send(pack(Batch(1, "i", 0, 0)), 1)
    made.close(5)


def test_an_agent_that_hangs_is_replaced(monkeypatch):
    monkeypatch.setattr("framescope.agent.lifecycle.SEND_TIMEOUT_S", 0.2)
    made = link("import time\ntime.sleep(60)")
    assert made.revive()
    process = made._process
    assert process is not None
    with pytest.raises(OSError):
        for _ in range(100):
            made.send(b"x" * 65536, 1)
    assert process.poll() is not None
    assert made.losses()["agent_died"] > 0


def test_an_agent_that_cannot_start_is_tried_again_later():
    made = AgentLink(start=lambda fd: ("/nonexistent/agent",))
    assert not made.revive()
    with pytest.raises(OSError):
        made.send(b"", 0)


def test_a_host_killed_outright_still_has_its_last_frames_sent(tmp_path):
    """SIGKILL of the host: the agent sees the end of the stream and sends what it was given."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    seen: list[int] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    seen.extend(
                        len(attribute.value.string_value)
                        for span in resource.scope_spans[0].spans
                        for attribute in span.attributes
                        if attribute.key == "frame.batch.outcomes"
                    )
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    code = """
import framescope, os, signal, time
p = framescope.Pipeline("p", target_fps=100)
for _ in range(50):
    with p.frame(): pass
time.sleep(0.5)
os.kill(os.getpid(), signal.SIGKILL)
"""
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
    }
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=60)
    until(lambda: sum(seen) == 50)
    server.shutdown()
