"""Times in queries: unix seconds and RFC 3339, to the nanosecond, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.api.origins import origin_allowed
from framescope_ui.api.problems import BadParameter
from framescope_ui.api.times import time_ns

NS = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("1.5", 1_500_000_000),
        ("1763800000.123456789", 1_763_800_000_123_456_789),
        ("1970-01-01T00:00:01Z", NS),
        ("1970-01-01t00:00:01.000000001z", NS + 1),
        ("1970-01-01T02:00:01+02:00", NS),
        ("1970-01-01T02:00:01 02:00", NS),
    ],
)
def test_known_forms(text: str | None, ns: int | None) -> None:
    assert time_ns("start", text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "now", "-5", "1e9", "inf", "nan", "2026-11-22", "2026-11-22T08:30:00", "2026-13-01T00:00:00Z",
        "1800000000000", "1969-12-31T23:59:59Z", "٣", "1.5.5", "0x10",
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadParameter) as refused:
        time_ns("start", text)
    assert refused.value.name == "start"
    assert refused.value.detail.startswith("start")


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_every_rfc_3339_time_is_understood_to_the_microsecond(naive: datetime, offset: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    exact = (since.days * 86400 + since.seconds) * NS + since.microseconds * 1000
    assert time_ns("t", moment.isoformat()) == exact


@given(st.integers(0, 253_402_300_799 * NS))
def test_unix_seconds_lose_nothing(ns: int) -> None:
    assert time_ns("t", f"{ns // NS}.{ns % NS:09d}") == ns


@given(st.text(max_size=40))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    try:
        found = time_ns("t", text)
    except BadParameter:
        return
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "app:8050", True),
        ("http://app:8050", "app:8050", True),
        ("http://APP:8050", "app:8050", True),
        ("http://app:8051", "app:8050", False),
        ("http://evil", "app:8050", False),
        ("http://app:8050.evil", "app:8050", False),
        ("null", "app:8050", False),
        ("http://app:8050", None, False),
        ("https://portal", "app:8050", True),
    ],
)
def test_websocket_origins(origin: str | None, host: str | None, allowed: bool) -> None:
    assert origin_allowed(origin, host, ("https://portal",)) is allowed
