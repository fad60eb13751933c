"""How good a model is: asking it, scoring what it answers, and whether it may replace another model.

Stages: `evaluation` asks the served policy, `baselines` answer in this process, `gate` decides, `promote` acts on the decision.
Asking (`globe.asking` does it): `usage` says how to ask a model, `answering` where it is served, `evaluate` asks about every
picture, `first_look` about some of them, `locate` about one photo; `circumstances` records under which ones.
Scoring (`globe.figures` computes): answers of others come from `tables` and `lmms_samples`, and `copied` finds the truth among
them; `lmms_tasks` is for lmms-eval; `expected` was written down beforehand; `radius_file` is the radius beside a checkpoint.
Comparing: `compare`, `verdict`. Showing: `show`, `show_radius` (terminal), `markdown`, `reports` (what `globe.report` draws), and
`titles`.
"""
