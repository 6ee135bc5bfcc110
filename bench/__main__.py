"""Run the benchmarks, print a table, write JSON: ``python -m bench [--bursts N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path

from bench import process
from tests.support.requirements import missing


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
    parser = argparse.ArgumentParser(prog="bench", description="What epicsmon's probes cost, on a real IOC.")
    parser.add_argument("--bursts", type=int, default=60, help="bursts of 100 chains of 20 records per variant")
    parser.add_argument("--json", type=Path, default=Path("bench/results/process.json"), metavar="FILE")
    parser.add_argument("--no-trace", action="store_true", help="without epicsmon trace: the floor only")
    options = parser.parse_args()
    for need in ("root", "bpf", "uprobes", "epics"):
        reason = missing(need)
        if reason is not None:
            print(f"bench: {reason}", file=sys.stderr)
            return 3

    about = machine()
    print(f"{about['cpu']} ({about['cpus']} CPUs{', virtual' if about['virtual'] else ''}), Linux {about['kernel']}")
    rows = process.as_json(process.run(options.bursts, with_trace=not options.no_trace))
    print(table(rows))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": about, "process": rows}, indent=2) + "\n")
    print(f"written to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
