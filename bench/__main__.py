"""Run the benchmarks, print tables, write JSON: ``python -m bench [process|puts] [--bursts N] [--results FOLDER]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path

from bench import process, puts
from tests.support.requirements import missing

NEEDS = {
    "process": ("root", "bpf", "uprobes", "epics"),
    "puts": ("root", "bpf", "netns", "epics"),
}


def machine() -> dict[str, object]:
    """Return what a reader must know to compare figures: kernel, CPU, Python."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "kernel": platform.release(),
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "virtual": "hypervisor" in Path("/proc/cpuinfo").read_text(),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def table(rows: list[dict[str, object]]) -> str:
    """Return the figures in columns; what a variant noted stands beneath it."""
    lines = [f"{'ns per dbProcess':<24}{'median':>10}{'fastest':>10}{'added':>10}{'x empty':>10}"]
    for row in rows:
        multiple = row["added_over_empty"] if row["variant"] == "epicsmon trace" else ""
        figures = "".join(f"{value:>10}" for value in (row["ns"], row["ns_fastest"], row["added_ns"], multiple))
        lines.append(f"{row['variant']:<24}{figures}")
        notes = row["notes"]
        assert isinstance(notes, dict)
        for name, value in notes.items():
            lines += [f"    {name}: {item}" for item in (value if isinstance(value, list) else [value])]
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write; 3 if this machine does not permit it."""
    parser = argparse.ArgumentParser(prog="bench", description="What epicsmon costs, on real IOCs and real traffic.")
    parser.add_argument("what", nargs="*", choices=[[], *NEEDS], help="which of them; all without one")
    parser.add_argument("--bursts", type=int, default=60, help="process: bursts of 100 chains of 20 per variant")
    parser.add_argument("--no-trace", action="store_true", help="process: without epicsmon trace, the floor only")
    parser.add_argument("--seconds", type=float, default=puts.SECONDS, help="puts: how long each rate is kept up")
    parser.add_argument("--results", type=Path, default=Path("bench/results"), metavar="FOLDER")
    options = parser.parse_args()
    chosen = options.what or list(NEEDS)
    for name in chosen:
        for need in NEEDS[name]:
            reason = missing(need)
            if reason is not None:
                print(f"bench {name}: {reason}", file=sys.stderr)
                return 3

    about = machine()
    print(f"{about['cpu']} ({about['cpus']} CPUs{', virtual' if about['virtual'] else ''}), Linux {about['kernel']}")
    options.results.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        if name == "process":
            rows = process.as_json(process.run(options.bursts, with_trace=not options.no_trace))
            print(table(rows))
        else:
            rows = puts.as_json(puts.run(seconds=options.seconds))
            print(puts.table(rows))
        path = options.results / f"{name}.json"
        path.write_text(json.dumps({"machine": about, name: rows}, indent=2) + "\n")
        print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
