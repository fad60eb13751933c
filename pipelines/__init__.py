"""The pipelines: what runs after what. Compile, run and submit them with `python -m pipelines`."""
