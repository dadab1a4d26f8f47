"""The doctor's test frame goes the whole way: recorder, agent, OTLP, store, and is found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from store_process import StoreProcess

from framescope import doctor
from framescope_ui import checks


def test_one_frame_is_sent_and_found_where_frames_are_read_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = StoreProcess(tmp_path / "store").start()
    try:
        for name in [name for name in os.environ if name.startswith(("OTEL_", "FRAMESCOPE_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", store.url)
        monkeypatch.setenv("FRAMESCOPE_DATA_DIR", str(store.data_dir))
        monkeypatch.setattr(doctor, "_contributed", lambda: [checks.checks])
        monkeypatch.setattr(doctor, "CHECKS_HERE", (doctor.otlp,))
        code = doctor.doctor(["--send-test", "--json"])
    finally:
        store.stop()
    said = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    for check in ("otlp traces", "test frame: sent", "test frame: kept", "test frame: record"):
        assert said[check]["status"] == "ok", said[check]
    assert said["test frame: counted"]["status"] == "ok", said["test frame: counted"]
    assert code == 0, said
