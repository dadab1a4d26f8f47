"""The scripted GPU driver, for every test of this folder."""

from nvml_driver import nvml, nvml_libraries

__all__ = ["nvml", "nvml_libraries"]
