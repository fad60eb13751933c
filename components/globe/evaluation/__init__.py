"""How good a model is: the figures that its answers give, what they are worth, and whether it may replace another model.

Stages: `evaluation` asks the served policy, `baselines` answer in this process, `gate` decides, `promote` acts on the decision.
Asking (`globe.asking` does it): `usage` says how to ask a model, `answering` where it is served, `evaluate` asks about every
picture, `first_look` about some of them, `locate` about one photo; `circumstances` records under which ones.
Answers: `predictions`; those of others: `tables`, `lmms_samples`; `copied` finds the truth among them. `lmms_tasks`: lmms-eval.
Figures: `metrics`, `slices`, `intervals`; `further` ones: `confidence`, `abstention`, `radius`, `grounding`, `area`.
Comparing: `paired` differences, `compare`, `verdict`, `power`; `expected` was written down beforehand.
Showing: `show`, `show_radius` (terminal), `markdown`, `reports` (what `globe.report` draws), `figures_schema`, `titles`.
"""
