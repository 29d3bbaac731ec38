"""`python -m bench [names…]`: runs benchmarks, prints their tables, and with --save keeps them in RESULTS.md."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.harness import QUICK, Plan, Report, Skipped
from bench.results import NoPlace, facts, save, table

BENCHMARKS = {
    "sql": "reads and writes through generated DAOs against bare drivers and SQLAlchemy; needs `make servers`",
    "cql": "the same on Cassandra against its driver and cqlengine, on the embedded store against sqlite3",
    "rpc": "the unary call over HTTP and the WebSocket against bare tornado and grpc.aio",
    "push": "broadcasts, idle connections and reconnect storms against tornado, websockets and node ws",
    "generate": "`sun generate`, importing what it writes, and type-checking it",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="which ones (all)")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--quick", action="store_true", help="only show that everything runs")
    parser.add_argument("--rounds", type=int, help="rounds of every sample (5)")
    parser.add_argument("--seconds", type=float, help="seconds of every timed sample (2)")
    parser.add_argument("--save", action="store_true", help="write the tables into bench/RESULTS.md")
    given = parser.parse_args()
    if given.list:
        for name, about in BENCHMARKS.items():
            print(f"{name:10}{about}")
        return 0
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    if given.quick and given.save:
        parser.error("--quick measures nothing worth saving")
    base = QUICK if given.quick else Plan()
    plan = Plan(given.rounds or base.rounds, given.seconds or base.seconds, base.rows)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    for name in given.names or BENCHMARKS:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        try:
            report: Report = importlib.import_module(f"bench.{name}").run(plan)
        except Skipped as reason:
            print(f"skipped: {reason}")
            continue
        print(f"{facts(report, command)}\n\n{table(report)}", flush=True)
        if given.save:
            try:
                save(name, report, command)
            except NoPlace as error:
                parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
