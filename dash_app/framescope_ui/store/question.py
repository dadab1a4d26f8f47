"""What every question of the query socket is made of, and how a segment is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Nanoseconds = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Question(BaseModel):
    """Arguments of a question: exactly the known ones, of exactly their types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BadQuestion(ValueError):
    """Arguments that are well formed and still make no sense together."""


Ask = Callable[[str, Mapping[str, Any] | None], Any]
"""Runs one of our statements with bound parameters, answers an Arrow table."""
