"""A server of the query API for tests: series in memory, and just the PromQL that the app sends.

It reads queries the way Prometheus does, by its own parser, so that a value which broke out of its quotes
would be a syntax error here or select something else.
"""

from __future__ import annotations

import ast
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl

import httpx

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LENGTH = re.compile(r"\[(\d+)ms\]")

Labels = Mapping[str, str]
Condition = tuple[str, str, str]


class BadQuery(ValueError):
    """What is no PromQL."""


def parse(text: str) -> tuple[list[Condition], str]:
    """The conditions of a selector, and what is left of the text behind it."""
    at, found = 1, list[Condition]()
    if text[:1] != "{":
        raise BadQuery(text)
    while True:
        label, at = _name(text, at)
        operator = "=~" if text[at : at + 2] == "=~" else text[at : at + 1]
        if operator not in ("=", "=~"):
            raise BadQuery(text[at:])
        value, at = _string(text, at + len(operator))
        found.append((label, operator, value))
        end, at = text[at : at + 1], at + 1
        if end == "}":
            return found, text[at:]
        if end != ",":
            raise BadQuery(text[at:])


def _name(text: str, at: int) -> tuple[str, int]:
    if bare := _BARE.match(text, at):
        return bare.group(), bare.end()
    return _string(text, at)


def _string(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None:
        raise BadQuery(text[at:])
    # The escapes that are used mean the same in Go and in Python.
    return ast.literal_eval(found.group()), found.end()


def meets(labels: Labels, conditions: Sequence[Condition]) -> bool:
    for label, operator, value in conditions:
        mine = labels.get(label, "")
        if not (mine == value if operator == "=" else re.fullmatch(value, mine, re.DOTALL)):
            return False
    return True


Points = list[tuple[int, Any]]
"""Unix ms and a number, or a native histogram as the API writes it."""


@dataclass
class Server:
    """``pages`` answer other paths. ``before`` may answer a request instead; ``asked`` is what came."""

    series: list[tuple[dict[str, str], Points]] = field(default_factory=list)
    metricsql: bool = False
    pages: dict[str, Any] = field(default_factory=dict)
    before: Callable[[str, dict[str, str]], httpx.Response | None] = lambda path, form: None
    extra: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: list[httpx.Request] = field(default_factory=list)

    def add(self, points: Points, **labels: str) -> None:
        self.series.append((labels, points))

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode() or request.url.query.decode(), keep_blank_values=True))
        path = request.url.path
        self.asked.append((path, form))
        self.sent.append(request)
        if (instead := self.before(path, form)) is not None:
            return instead
        try:
            return self._page(path, form)
        except BadQuery as error:
            said = {"status": "error", "errorType": "bad_data", "error": f"parse error: {error}"}
            return httpx.Response(400, json=said)

    def _page(self, path: str, form: dict[str, str]) -> httpx.Response:
        if path == "/api/v1/query":
            return self._instant(form["query"], _ms(form["time"]) if "time" in form else 0)
        if path == "/api/v1/query_range":
            return self._range(form)
        if path == "/api/v1/labels":
            found = self._selected(form["match[]"])
            return self._say(sorted({name for labels, _ in found for name in labels}))
        if path == "/api/v1/series":
            since, until = _ms(form["start"]), _ms(form["end"])
            return self._say(
                [
                    labels
                    for labels, points in self._selected(form["match[]"])
                    if any(since <= at <= until for at, _ in points)
                ]
            )
        if path in self.pages:
            page = self.pages[path]
            return httpx.Response(200, text=page) if isinstance(page, str) else self._say(page)
        return httpx.Response(404, text="404 page not found")

    def _say(self, data: Any) -> httpx.Response:
        return httpx.Response(200, content=json.dumps({"status": "success", "data": data, **self.extra}))

    def _selected(self, text: str) -> list[tuple[dict[str, str], Points]]:
        conditions, rest = parse(text)
        if rest:
            raise BadQuery(rest)
        return [one for one in self.series if meets(one[0], conditions)]

    def _instant(self, query: str, time_ms: int) -> httpx.Response:
        if query == "now()" and self.metricsql:
            return self._say({"resultType": "vector", "result": []})
        if query.startswith("last_over_time("):
            return self._say({"resultType": "vector", "result": self._last(query, [time_ms], plural=False)})
        conditions, rest = parse(query)
        found = []
        for labels, points in self.series:
            if meets(labels, conditions):
                found.append(_row(labels, _inside(points, time_ms - _length(rest), time_ms)))
        return self._say({"resultType": "matrix", "result": [row for row in found if row]})

    def _range(self, form: dict[str, str]) -> httpx.Response:
        start, end, step = _ms(form["start"]), _ms(form["end"]), _ms(form["step"])
        times = list(range(start, end + 1, step))
        if len(times) > 11_000:
            raise BadQuery("exceeded maximum resolution of 11,000 points per timeseries")
        query = form["query"]
        read = self._last if query.startswith("last_over_time(") else self._resets
        return self._say({"resultType": "matrix", "result": read(query, times)})

    def _last(self, query: str, times: Sequence[int], plural: bool = True) -> list[dict[str, Any]]:
        conditions, rest = parse(query.removeprefix("last_over_time("))
        length = _length(rest.removesuffix(")"))
        rows = []
        for labels, points in self.series:
            if meets(labels, conditions):
                lasts = []
                for time in times:
                    inside = _inside(points, time - length, time)
                    if inside:
                        lasts.append((time, inside[-1][1]))
                rows.append(_row(labels, lasts, plural))
        return [row for row in rows if row]

    def _resets(self, query: str, times: Sequence[int]) -> list[dict[str, Any]]:
        if not query.startswith("resets(") or not query.endswith(") > 0"):
            raise BadQuery(query)
        conditions, rest = parse(query.removeprefix("resets(").removesuffix(") > 0"))
        length = _length(rest)
        rows, seen = [], set[tuple[tuple[str, str], ...]]()
        for labels, points in self.series:
            if not meets(labels, conditions):
                continue
            nameless = {name: value for name, value in labels.items() if name != "__name__"}
            if (key := tuple(sorted(nameless.items()))) in seen:
                raise BadQuery("vector cannot contain metrics with the same labelset")
            seen.add(key)
            fallen = []
            for time in times:
                inside = [_count(value) for _, value in _inside(points, time - length, time)]
                falls = sum(b < a for a, b in pairwise(inside))
                if falls:
                    fallen.append((time, float(falls)))
            rows.append(_row(nameless, fallen))
        return [row for row in rows if row]


def _inside(points: Points, after: int, until: int) -> Points:
    """The points of a range that is open on the left, as since Prometheus 3.0."""
    low, high = (bisect_right(points, at, key=itemgetter(0)) for at in (after, until))
    return points[low:high]


def _ms(seconds: str) -> int:
    whole, _, part = seconds.partition(".")
    return int(whole) * 1000 + int(part.ljust(3, "0") or 0)


def _length(text: str) -> int:
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise BadQuery(text)
    return int(found.group(1))


def _count(value: Any) -> float:
    return float(value["count"]) if isinstance(value, dict) else float(value)


def _row(labels: Labels, points: Points, plural: bool = True) -> dict[str, Any]:
    if not points:
        return {}
    numbers = [[at / 1000, str(value)] for at, value in points if not isinstance(value, dict)]
    histograms = [[at / 1000, value] for at, value in points if isinstance(value, dict)]
    row: dict[str, Any] = {"metric": dict(labels)}
    if numbers:
        row |= {"values": numbers} if plural else {"value": numbers[-1]}
    if histograms:
        row |= {"histograms": histograms} if plural else {"histogram": histograms[-1]}
    return row
