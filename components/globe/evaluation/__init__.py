"""What a model is worth: its answers, their figures, and whether it may take another's place.

Stages: `evaluation` asks the served policy, `baselines` answers in process, `gate` decides, `promote` acts on that.
Asking: `client` calls a server, `usage` says how to ask a model, `evaluate` asks about every picture, `locate` about one photo.
Answers and figures: `predictions`, `tables` (those that users bring), `metrics`, `slices`, `compare`.
Telling: `show` (terminal), `markdown`, `reports` (what `globe.report` draws), `titles` (what models are called).
"""
