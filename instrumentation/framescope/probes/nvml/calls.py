"""One NVML call: what a device never tells is asked for once, what a call's failure means is told apart."""

from __future__ import annotations

from typing import Any, Final

import pynvml

UNSUPPORTED: Final = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)
LOST: Final = frozenset(
    {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND}
)
NO_DRIVER: Final = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)
EMPTY: Final = frozenset({pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_NO_DATA})
"""Nothing to list. pynvml raises even "success" where it expected that something was too small."""


class LostDeviceError(Exception):
    """The device does not answer any more."""


class LostDriverError(Exception):
    """No device answers any more: the driver or our session with it is gone."""


def raise_if_lost(code: int) -> None:
    """Raise for a return code that says that the device or the driver is gone."""
    if code in LOST:
        raise LostDeviceError(str(pynvml.NVMLError(code)))
    if code in NO_DRIVER:
        raise LostDriverError(str(pynvml.NVMLError(code)))


class Calls:
    """NVML calls on one device. A call that it does not support is made once and then left out."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self._missing: set[str] = set()

    def ask(self, name: str, *arguments: object, as_: str = "") -> Any:
        """What ``pynvml``'s function ``name`` returns for this device.

        ``None`` where the device does not tell, now or ever. ``as_`` tells two uses of one function
        apart, where one may be supported and the other not. Raises ``LostDeviceError``,
        ``LostDriverError``.
        """
        return self._call(name, as_ or name, arguments, None)

    def lacks(self, metric: str) -> bool:
        """Whether the device said that it never tells this."""
        return metric in self._missing

    def list(self, name: str, *arguments: object) -> Any:
        """As ``ask``, for functions that list: empty where there is nothing to list."""
        return self._call(name, name, arguments, [])

    def _call(self, name: str, metric: str, arguments: tuple[object, ...], empty: Any) -> Any:
        if metric in self._missing:
            return None
        function = getattr(pynvml, name, None)  # an older pynvml lacks the newest
        if function is None:
            self._missing.add(metric)
            return None
        try:
            return function(self.handle, *arguments)
        except pynvml.NVMLError as error:
            raise_if_lost(error.value)
            if empty is not None and error.value in EMPTY:
                return empty
            if error.value in UNSUPPORTED:
                self._missing.add(metric)
            return None
