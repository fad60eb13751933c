"""The pipelines' stages as KFP contracts, one file per stage. The work itself is in `globe`, which knows nothing of KFP."""
