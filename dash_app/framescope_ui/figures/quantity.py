"""Numbers as people read them: one rule for digits, signs, units and times, used by pages and figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

UNKNOWN = "–"
"""What stands where nothing is known. Never 0."""


def grouped(value: float, digits: int = 0) -> str:
    """A number with thin gaps between thousands and a true minus sign."""
    return f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "−")


def milliseconds(seconds: float | None, *, signed: bool = False) -> str:
    """Seconds as a bare number of ms: one decimal, two below 0.1."""
    if seconds is None:
        return UNKNOWN
    value = seconds * 1e3
    if abs(value) < 0.005:  # nothing, at these digits: no sign either
        value = 0.0
    text = grouped(value, 2 if 0 < abs(value) < 0.1 else 1)
    return f"+{text}" if signed and value > 0 else text


def duration(seconds: float | None) -> tuple[str, str]:
    """Number and unit: ms below 1 s, then s, then min, then h."""
    if seconds is None:
        return UNKNOWN, ""
    if abs(seconds) < 1:
        return milliseconds(seconds), "ms"
    if abs(seconds) < 60:
        return grouped(seconds, 1), "s"
    if abs(seconds) < 7200:
        return grouped(seconds / 60, 1), "min"
    return grouped(seconds / 3600, 1), "h"


def duration_text(seconds: float | None) -> str:
    """Number and unit in one string."""
    return " ".join(duration(seconds)).strip()


def percent(ratio: float | None) -> str:
    """A ratio as a bare number of percent: none from 10 up, one decimal below, two below 0.1."""
    if ratio is None:
        return UNKNOWN
    value = ratio * 100
    if abs(value) >= 9.95 or value == 0:
        return grouped(value)
    return grouped(value, 1 if abs(value) >= 0.1 else 2)


def rate(value: float | None) -> str:
    """A rate with one decimal, none from 1 000 up."""
    return UNKNOWN if value is None else grouped(value, 0 if abs(value) >= 1000 else 1)


def whole(value: float | None) -> str:
    """A count."""
    return UNKNOWN if value is None else grouped(value)


def memory(used: float | None, total: float | None) -> tuple[str, str]:
    """Bytes in use, of how many where known, in GB or (all below 1 GB) MB; number and unit."""
    if used is None:
        return UNKNOWN, ""
    large = max(used, total or 0.0) >= 1e9
    texts = [grouped(x / 1e9, 1) if large else grouped(x / 1e6) for x in (used, total) if x is not None]
    return " of ".join(texts), "GB" if large else "MB"


def confidence(value: float | None) -> str:
    """0 to 1 with two decimals; below 0.5 the number says that it is low."""
    if value is None:
        return UNKNOWN
    return f"{value:.2f} low" if value < 0.5 else f"{value:.2f}"


_ZONE: ContextVar[tzinfo] = ContextVar("zone", default=UTC)
_HOME: ContextVar[tzinfo] = ContextVar("home", default=UTC)


def write_times_in(zone: tzinfo, home: tzinfo = UTC) -> None:
    """Write times of day in this zone from now on, in this request or task; see ``times_in``."""
    _ZONE.set(zone)
    _HOME.set(home)


@contextmanager
def times_in(zone: tzinfo, home: tzinfo = UTC) -> Iterator[None]:
    """Write times of day in this zone meanwhile; UTC outside. ``home`` is the zone of the browser's clock.

    A zone is the viewer's and not a value's, so it goes with the request and not through every signature.
    """
    before, home_before = _ZONE.set(zone), _HOME.set(home)
    try:
        yield
    finally:
        _ZONE.reset(before)
        _HOME.reset(home_before)


def zone_of(name: object, offset_minutes: object) -> tzinfo:
    """A browser's zone by its IANA name; where this machine does not know it, by its offset from UTC now."""
    if isinstance(name, str):
        try:
            return UTC if name == "UTC" else ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            pass
    if isinstance(offset_minutes, (int, float)) and abs(offset_minutes) < 24 * 60:
        return timezone(timedelta(minutes=round(offset_minutes)))
    return UTC


def ahead_seconds(unix: float) -> float:
    """How far the zone is ahead of the browser's own at a time, s."""
    ahead = local(unix).utcoffset() or timedelta(0)
    return (ahead - (local(unix, _HOME.get()).utcoffset() or timedelta(0))).total_seconds()


def zone_name(unix: float | None = None) -> str:
    """What the zone is called at a time, or now: ``UTC``, ``CEST``, ``UTC+03``."""
    at = datetime.now(_ZONE.get()) if unix is None else local(unix)
    name = at.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def local(unix: float, zone: tzinfo | None = None) -> datetime:
    """A time in the zone that is written in, or another."""
    return datetime.fromtimestamp(unix, zone or _ZONE.get())


def clock(unix: float | None, *, fraction: bool = False) -> str:
    """Time of day, without its zone: the head of the column or the end of the axis names it."""
    if unix is None:
        return UNKNOWN
    at = local(unix)
    return at.strftime("%H:%M:%S") + (f".{at.microsecond // 1000:03d}" if fraction else "")


def moment(unix: float | None, *, fraction: bool = False) -> str:
    """Time of day with its zone."""
    return UNKNOWN if unix is None else f"{clock(unix, fraction=fraction)} {zone_name(unix)}"


def ago(seconds: float | None) -> str:
    """How long ago, in words."""
    if seconds is None:
        return UNKNOWN
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def reading(value: float, unit: str) -> tuple[str, str]:
    """A value in the unit of the wire (UCUM) → number and unit for people."""
    if unit == "s":
        return (milliseconds(value), "ms") if abs(value) < 1 else duration(value)
    if unit == "1":
        return percent(value), "%"
    if unit == "Hz":
        return grouped(value / 1e6), "MHz"
    if unit == "By":
        return (grouped(value / 1e9, 1), "GB") if abs(value) >= 1e9 else (grouped(value / 1e6), "MB")
    if unit == "Cel":
        return grouped(value), "°C"
    text = grouped(value) if float(value).is_integer() else grouped(value, 1)
    return text, unit.strip("{}")
