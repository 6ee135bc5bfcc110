"""Whether a tracer left anything behind, asked of the kernel's own tools and of the process's memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from epicsmon.ioc import find_ioc
from pybpf.elf import ElfImage, plan_probe
from tests.support.epics import RealIoc

FUNCTIONS = ("dbProcess", "dbPut", "dbPutField", "dbProcessNotify")


@dataclass(frozen=True)
class Probes:
    """The places of a process where probes are set, with the instructions that belong there."""

    pid: int
    places: dict[str, tuple[int, bytes]]

    @classmethod
    def of(cls, ioc: RealIoc) -> Probes:
        """The sites that are planned in the functions of an IOC, found in its memory."""
        with find_ioc(ioc.pid) as seen, ElfImage.open(ioc.libraries.dbcore) as image:
            address = seen.variable("dbProcess")
            assert address is not None
            base = address - image.symbol("dbProcess").address
            sites = {name: plan_probe(image, name) for name in FUNCTIONS}
        return cls(ioc.pid, {name: (base + site.address, site.code[:1]) for name, site in sites.items()})

    def set(self) -> set[str]:
        """The functions in which there is a breakpoint now: something else than their file has there."""
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            return {
                name
                for name, (address, code) in self.places.items()
                if os.pread(memory.fileno(), len(code), address) != code
            }


def kernel_objects(pid: int) -> dict[str, set[int]]:
    """The ids of the BPF programs, maps and links to which a process holds descriptors: "prog", "map", "link"."""
    found: dict[str, set[int]] = {"prog": set(), "map": set(), "link": set()}
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = entry.read_text()
        except FileNotFoundError:
            continue
        for kind in found:
            match = re.search(rf"^{kind}_id:\s+(\d+)", text, re.MULTILINE)
            if match:
                found[kind].add(int(match[1]))
    return found


def still_there(objects: dict[str, set[int]]) -> dict[str, set[int]]:
    """Those of the objects that bpftool still lists."""
    return {kind: left for kind, ids in objects.items() if (left := ids & _listed(kind))}


def _listed(kind: str) -> set[int]:
    done = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, check=True)
    return {item["id"] for item in json.loads(done.stdout)}
