"""What an application put into its attributes is shown, but not what may be a secret."""

from __future__ import annotations

import pytest

from framescope_ui.questions.withheld import WITHHELD, without_secrets


@pytest.mark.parametrize("name", ["db.password", "API_KEY", "http.request.header.authorization", "my-token"])
def test_a_text_whose_name_speaks_of_a_secret_is_withheld(name: str) -> None:
    assert without_secrets(name, "hunter2") == WITHHELD
    assert without_secrets(name, ["hunter2"]) == [WITHHELD]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://app:hunter2@db/x", "postgres://…@db/x"),
        ("serve --password hunter2 --port 1", "serve --password … --port 1"),
        ("GET /a?token=hunter2&x=1", "GET /a?token=…&x=1"),
        ('{"api_key": "hunter2"}', '{"api_key": "…"}'),
        ("Authorization: Bearer hunter2", "Authorization: Bearer …"),
        ("denoise waited 7.6 ms", "denoise waited 7.6 ms"),
    ],
)
def test_a_secret_inside_a_text_is_cut_out(text: str, shown: str) -> None:
    assert without_secrets("process.command_line", text) == shown


def test_numbers_are_no_secrets() -> None:
    assert without_secrets("gen_ai.usage.input_tokens", 12) == 12
