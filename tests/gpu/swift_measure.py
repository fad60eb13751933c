"""ms-swift plugin: what each step of a training took, one JSON object a line in the file that GLOBE_MEASURE names.

seconds     from the end of the step before (the first has none), the GPU's work included
tokens      that were trained on, padding left out; `padded` with it
sequences   that were trained on
image_tokens  among them
peak_gb     decimal GB: the most that torch had reserved so far on a GPU, the process's largest resident set on a CPU
device_gb   decimal GB in use on the GPU at the end of the step, the rollout engine's included; 0 on a CPU
"""

import json
import os
import resource
import time
from collections import Counter
from typing import Any

import torch
from swift.callbacks import TrainerCallback, callbacks_map

NAME = "globe_measure"
PATCHES_A_TOKEN = 4


class Measure(TrainerCallback):
    """Counts what is trained on, and takes the time between steps."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Listen to the model's training passes. First in line, since ms-swift's own hook turns the inputs into embeddings."""
        self._counts: Counter[str] = Counter()
        self._last = 0.0
        self.trainer.model.register_forward_pre_hook(self._count, with_kwargs=True, prepend=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the step's line."""
        device, peak = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            free, total = torch.cuda.mem_get_info()
            device, peak = (total - free) / 1e9, torch.cuda.max_memory_reserved()
        now = time.perf_counter()
        line = {"step": state.global_step, "seconds": now - self._last if self._last else None}
        line |= {"peak_gb": peak / 1e9, "device_gb": device, **self._counts}
        with open(os.environ["GLOBE_MEASURE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._counts.clear()
        self._last = time.perf_counter()

    def _count(self, module: Any, args: Any, inputs: dict[str, Any]) -> None:
        if not torch.is_grad_enabled() or inputs.get("input_ids") is None:
            return
        ids, mask = inputs["input_ids"], inputs.get("attention_mask")
        self._counts["sequences"] += len(ids)
        self._counts["padded"] += ids.numel()
        self._counts["tokens"] += ids.numel() if mask is None else int(mask.sum())
        if inputs.get("pixel_values") is not None:
            self._counts["image_tokens"] += len(inputs["pixel_values"]) // PATCHES_A_TOKEN


callbacks_map[NAME] = Measure
