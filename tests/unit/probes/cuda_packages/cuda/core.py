"""cuda.core as far as its streams go: they tell their handle by the ``__cuda_stream__`` protocol."""

from __future__ import annotations

from scripted_device import new_stream, start, work


class Stream:
    def __init__(self) -> None:
        self._handle = new_stream()

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self._handle)


class Device:
    def set_current(self) -> None:
        start()

    def create_stream(self) -> Stream:
        return Stream()

    def allocate(self, _: int, stream: Stream) -> object:
        work(stream._handle)
        return object()
