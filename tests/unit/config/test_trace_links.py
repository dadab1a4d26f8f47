"""Links to the same trace in other tools: what a template may be, and what a frame puts into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from scene import scene, trace_id_of

from framescope.config import ConfigError, Configuration, resolve
from framescope_ui import settings
from framescope_ui.questions.frame import frame
from framescope_ui.trace_links import TraceLink

GRAFANA = (
    "https://grafana.example/explore?schemaVersion=1&panes=%7B%22a%22:%7B%22datasource%22:%22tempo%22,%22queries%22:"
    "[{\"query\":\"{trace_id}\"}],%22range%22:{\"from\":\"{start_ms}\",\"to\":\"{end_ms}\"}%7D%7D"
)  # fmt: skip


@pytest.mark.parametrize(
    "template",
    ["https://jaeger.example/trace/{trace_id}", "http://[::1]:3200/api/v2/traces/{trace_id}", GRAFANA],
)
async def test_a_template_becomes_the_address_of_the_frame(template: str) -> None:
    view = await frame(scene().stores, trace_id_of(1499))
    assert view is not None
    href = TraceLink("tool", template).href(view)
    assert trace_id_of(1499) in href
    assert "{trace_id}" not in href and "{start_ms}" not in href


async def test_what_comes_from_the_frame_is_encoded() -> None:
    view = await frame(scene().stores, trace_id_of(1499))
    assert view is not None
    hostile = replace(view, item=replace(view.item, service='a&b=c#d/../"<', pipeline=None))
    link = TraceLink("tool", "https://t.example/s/{trace_id}?service={service}&p={pipeline}&from={start_ms}")
    parts = urlsplit(link.href(hostile))
    assert (parts.netloc, parts.fragment) == ("t.example", "")
    asked = parse_qs(parts.query)
    assert asked["service"] == ['a&b=c#d/../"<']
    assert asked["from"] == [str(int((view.due - 30) * 1e3))]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("javascript:alert('{trace_id}')", "an address such as"),
        ("ftp://host/{trace_id}", "an address such as"),
        ("/trace/{trace_id}", "an address such as"),
        ("https://", "an address such as"),
        ("https://[bad/{trace_id}", "an address such as"),
        ("https://u:hunter2@jaeger/{trace_id}", "user or a password"),
        ("https://jaeger/trace", "{trace_id} is missing"),
        ("https://jaeger/{trace_id}/{span}", "{span} is not known"),
        ("https://{service}.example/{trace_id}", "host"),
        ("https://jaeger/ {trace_id}", "without spaces"),
        ("https://jaeger/\n{trace_id}", "without spaces"),
        ("https://jaeger/{trace_id}?" + "x" * 5000, "at most 4000"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_and_not_quoted(template: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        TraceLink("tool", template)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def configured(text: str) -> Configuration:
    table = settings.every_setting({}, Path("/home/somebody"))
    return resolve(table, environ={}, read_file=lambda path: text)


def test_links_are_set_in_the_file() -> None:
    found = settings.app_options(configured("links: {jaeger: 'https://j.example/trace/{trace_id}'}"))
    assert found.trace_links == (TraceLink("Jaeger", "https://j.example/trace/{trace_id}"),)


def test_every_template_that_cannot_be_used_is_named_with_its_place_and_not_quoted() -> None:
    text = "links: {jaeger: 'https://u:hunter2@j/{trace_id}', grafana: 'https://g.example/'}"
    with pytest.raises(ConfigError) as refused:
        settings.app_options(configured(text))
    said = str(refused.value)
    assert "links.jaeger" in said and "links.grafana" in said
    assert "hunter2" not in said


def test_the_examples_that_the_help_gives_can_be_used() -> None:
    for tool, example in settings.LINKED_TOOLS.items():
        assert TraceLink(tool, example).name == tool
