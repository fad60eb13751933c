"""Evaluation: asking a served model, scoring its answers, comparing models, and the gate."""
