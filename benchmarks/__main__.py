"""`make bench`: measure everything in one run, print it, and write benchmarks/latest.json."""

import argparse
import sys

from benchmarks import apis, catalog, flow, matching, requests, stages
from benchmarks.report import LATEST, Row, machine, write

GOALS = (
    "push_receipt_ratio",
    "mesh_rows_per_second",
    "small_push_p50_ms",
    "small_push_p99_ms",
    "idle_memory_mb",
    "api_calls_p99_ms",
    "cost_flatness_percent",
)


def main() -> int:
    """Run every benchmark; return 0 also when a goal is missed: a miss is told, not hidden behind an exit code."""
    argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__).parse_args()
    rows: list[Row] = []
    rows += matching.run()
    print(f"machine: {machine()}")
    print("what one process makes of the same rows, stage by stage")
    rows += stages.run()
    with flow.running() as running:
        print("memory at rest")
        rows += flow.idle_memory(running)
        print("push against passthrough")
        rows += flow.receipt_ratio(running)
        print("throughput")
        rows += flow.throughput(running)
        print("latency of small pushes, of a mesh that has run for a while")
        rows += flow.latency(running)
        print("shared APIs")
        rows += apis.run(flow=running)
        print("a thousand open requests")
        rows += requests.run(running)
        print("a catalogue of a city's size")
        rows += catalog.run(running)
    print()
    for row in rows:
        print(row.line())
    missing = set(GOALS) - {row.id for row in rows}
    assert not missing, f"not measured: {missing}"
    write(rows)
    print(f"\nwritten to {LATEST.name}; {sum(row.met is False for row in rows)} goals missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
