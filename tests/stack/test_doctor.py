"""``framescope doctor`` on the real stacks: every link is found, and one frame goes the whole way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stacks import Stack

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]

# Run from source, without the installed entry points: the app's checks are named here.
_COMMAND = (
    "import sys; from framescope import doctor; from framescope_ui.checks import checks; "
    "doctor._contributed = lambda: [checks]; sys.exit(doctor.doctor(sys.argv[1:]))"
)


@pytest.mark.parametrize("name", ["prometheus_tempo", "victoria_jaeger"])
def test_a_test_frame_is_found_behind_the_collector(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    stack: Stack = request.getfixturevalue(name)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "FRAMESCOPE_"))}
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "--send-test", "--json"],
        env={
            **clean,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.collector.otlp_http,
            "FRAMESCOPE_TRACES_BACKEND": stack.traces_backend,
            "FRAMESCOPE_TRACES_URL": stack.traces_url,
            "FRAMESCOPE_METRICS_URL": stack.metrics_url,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)["checks"]
    status = {one["check"]: one["status"] for one in said if one["status"] != "warn"}
    for check in (
        *("otlp traces", "otlp metrics", "test frame: sent"),
        *("traces backend", "metrics backend", "traces clock", "metrics clock", "frames", "metric names"),
        *("test frame: kept", "test frame: record", "test frame: counted"),
    ):
        assert status.get(check) == "ok", (check, said)
    print({one["check"]: one["found"] for one in said if one["check"].startswith("test frame")})
