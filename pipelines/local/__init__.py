"""Run a pipeline on this machine: as processes or in containers, with a live view, tables and a report."""
