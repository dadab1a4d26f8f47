"""NVIDIA GPUs through NVML.

``probe`` finds, loses and finds again the devices; ``gpu`` is one of them, with its groups of calls and
their turns (``tiers``). What the groups give: ``utilization``, ``sharing``, ``fields``, ``gpm``; ``events``
come by themselves. ``stamps`` places the driver's clock on ours, ``people`` says who a process is.
"""

from framescope.probes.nvml.probe import NvmlProbe
from framescope.probes.nvml.tiers import Tiers

__all__ = ["NvmlProbe", "Tiers"]
