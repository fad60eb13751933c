"""ms-swift plugin of `swift rollout`, the engine that samples on GPUs of its own: its model's folder is data there, too.

ms-swift puts a plugin's folder first where Python looks for modules. The engine's processes inherit that, and would take
`swift.py` of this folder for ms-swift itself.
"""

import sys
from pathlib import Path

from globe.training.swift_data_only import distrust_in_vllm

sys.path[:] = [place for place in sys.path if Path(place) != Path(__file__).parent]
distrust_in_vllm()
