"""The part of torch's extension that tells the current stream."""

current = [0]


def _cuda_getDevice() -> int:
    return 0


def _cuda_getCurrentRawStream(device: int) -> int:
    return current[device]
