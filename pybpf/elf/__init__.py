"""ELF images: symbols, file offsets, build-ids, and where in a function a probe is safe and cheap."""

from __future__ import annotations

from pybpf.elf.file import FileIdentity
from pybpf.elf.image import ElfImage, ImageKind, Machine, Segment
from pybpf.elf.mapped import loaded_library, processes_mapping
from pybpf.elf.planner import CostClass, ProbeSite, plan_probe
from pybpf.elf.process_check import ProcessCheck, ProcessGone, check_process
from pybpf.elf.symbols import Symbol, SymbolKind

__all__ = [
    "CostClass",
    "ElfImage",
    "FileIdentity",
    "ImageKind",
    "Machine",
    "ProbeSite",
    "ProcessCheck",
    "ProcessGone",
    "Segment",
    "Symbol",
    "SymbolKind",
    "check_process",
    "loaded_library",
    "plan_probe",
    "processes_mapping",
]
