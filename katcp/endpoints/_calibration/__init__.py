"""From a raw value to a calibrated one."""

from katcp.endpoints._calibration._calibration import Calibration

__all__ = [
    "Calibration",
]
