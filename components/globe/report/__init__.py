"""Reports that people open: one self-contained HTML page for a run, one for an evaluation.

Only the plain records live here, so that a terminal view can use them without loading templates or images.
"""

from globe.report.views import EvaluationView, RunReport, StageRow

__all__ = ["EvaluationView", "RunReport", "StageRow"]
