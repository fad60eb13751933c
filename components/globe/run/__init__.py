"""What makes a function a stage: its record, its events, its address, and the checks before it."""
