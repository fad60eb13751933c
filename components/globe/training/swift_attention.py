"""ms-swift plugin: the vision tower's attention takes all windows of a batch together; see `globe.models.attention`."""

from globe.models.attention import batch_windows

batch_windows()
