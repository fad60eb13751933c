"""How good a model is: its answers, the figures they give, and whether it may replace another model.

Stages: `evaluation` asks the served policy, `baselines` answer in this process, `gate` decides, `promote` acts on the decision.
Asking (`globe.asking` does it): `usage` says how to ask a model, `evaluate` asks about every picture, `locate` about one photo.
Answers and figures: `predictions`, `tables` (those of users), `metrics`, `slices`, `compare`.
Showing: `show` (terminal), `markdown`, `reports` (what `globe.report` draws), `titles` (what models are called).
"""
