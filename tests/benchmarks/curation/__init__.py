"""What curation takes without its teachers, part by part; tests/benchmarks/bench_curation.py runs them all."""
