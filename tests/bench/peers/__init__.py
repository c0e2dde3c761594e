"""The benchmark beside other gateways, all on one simulator in one run. Method and figures: docs/benchmarks.md.

python -m tests.bench.peers            writes docs/benchmarks.md and the plot        --json FILE  --work FOLDER
python -m tests.bench.peers --quick    8 connections and short windows, only printed (--write writes it too)
"""
