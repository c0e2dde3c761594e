"""The benchmark: Envoy without and with Tollgate, on the same vendor simulator. Method and figures: docs/benchmarks.md.

python -m tests.bench            the gateway        --quick  --workers N  --json FILE
python -m tests.bench --ledger   hold and settle, without Envoy
"""
