"""Functions whose every call is a stage of the open frame, or a frame of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def as_frames(function: Function, begin: Callable[[], Any]) -> Function:
    """``function`` with each of its calls inside a frame of its own; of a coroutine function, a task's frame.

    Raises ``TypeError`` for a generator function: its values would all be one frame.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__name__", "it")
        raise TypeError(f"{name} is a generator: open a frame for each of its values, where they are used")
    made: Callable[..., Any]
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def of_coroutine(*args: Any, **kwargs: Any) -> Any:
            return await begin().around(function(*args, **kwargs))

        made = of_coroutine
    else:

        @functools.wraps(function)
        def of_call(*args: Any, **kwargs: Any) -> Any:
            with begin():
                return function(*args, **kwargs)

        made = of_call
    return cast("Function", made)


def as_stage(function: Function, stage: AbstractContextManager[Any]) -> Function:
    """``function`` with each of its calls inside ``stage``.

    A coroutine function is inside it until it returns, over its awaits; a generator from the first value
    asked for to its end.
    """
    made: Callable[..., Any]
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def of_coroutine(*args: Any, **kwargs: Any) -> Any:
            with stage:
                return await function(*args, **kwargs)

        made = of_coroutine
    elif inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def of_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with stage:
                async for value in function(*args, **kwargs):
                    yield value

        made = of_async_generator
    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def of_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with stage:
                return (yield from function(*args, **kwargs))

        made = of_generator
    else:

        @functools.wraps(function)
        def of_call(*args: Any, **kwargs: Any) -> Any:
            with stage:
                return function(*args, **kwargs)

        made = of_call
    return cast("Function", made)
