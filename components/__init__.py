"""The pipeline's stages as KFP contracts, one file a stage. What they do lives in `globe`, which knows no KFP."""
