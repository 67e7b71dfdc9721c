"""The array type that crosses module borders in core.audio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
"""A waveform (C, T), or estimates (S, C, T), of float32; full scale is [-1, 1), values beyond it are kept."""
