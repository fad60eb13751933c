"""The figures that answers give, each with its interval, computed from records alone: no server, no stage, no page.

Records: `predictions`. Figures: `metrics`, `slices`, `intervals`; `further` ones: `confidence` and what it is worth
(`abstention`, `radius`), how much of the reasoning is in the picture (`grounding`), recall against `area`. Two models: `paired`
differences, and the `power` that so many pictures give. `schema` describes all of them.
"""
