"""torch.cuda: whether it is in use, and the current stream."""

from __future__ import annotations

from scripted_device import start

_initialized = False


def is_initialized() -> bool:
    return _initialized


def initialize() -> None:
    global _initialized
    if not _initialized:
        start()
        _initialized = True
