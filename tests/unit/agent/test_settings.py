"""What the agent is told by the emitter's configuration."""

from __future__ import annotations

import logging

import pytest

from framescope.agent.settings import from_environment
from framescope.probes.nvml import Tiers


def test_the_groups_of_gpu_calls_are_as_their_table_has_them() -> None:
    assert from_environment({}).gpu_tiers == Tiers()


def test_each_group_of_gpu_calls_can_be_set_and_switched_off() -> None:
    told = {
        "FRAMESCOPE_GPU_UTILIZATION": "0.5",
        "FRAMESCOPE_GPU_SHARING": "0",
        "FRAMESCOPE_GPU_FIELDS": "250ms",
        "FRAMESCOPE_GPU_RESIDENTS": "1m",
        "FRAMESCOPE_GPU_EVENTS": "off",
    }
    tiers = from_environment(told).gpu_tiers
    assert (tiers.utilization_ns, tiers.sharing_ns, tiers.fields_ns) == (500_000_000, 0, 250_000_000)
    assert (tiers.residents_ns, tiers.events) == (60_000_000_000, False)


def test_gpm_is_never_asked_more_than_ten_times_a_second() -> None:
    assert from_environment({"FRAMESCOPE_GPU_ACTIVITY": "0.01"}).gpu_tiers.activity_ns == 100_000_000
    assert from_environment({"FRAMESCOPE_GPU_ACTIVITY": "0"}).gpu_tiers.activity_ns == 0


def test_a_buffer_of_samples_is_asked_before_it_runs_over(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert from_environment({"FRAMESCOPE_GPU_UTILIZATION": "20"}).gpu_tiers == Tiers()
    assert "from 0 to 5" in caplog.text
