"""Run a pipeline on a KFP server and follow it, for a person or a CI job."""
