"""The name of the section for a program: the other direction of :mod:`pybpf.objfile.section_names`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.hooks import Kretprobe, Uprobe, Uretprobe
from pybpf.kernel.constants import AttachType, ProgramType
from pybpf.objfile.section_names import hook_of, section_kinds

if TYPE_CHECKING:
    from pybpf.hooks.base import Hook
    from pybpf.program import ProgramSpec

_OFTEN = {
    (ProgramType.SCHED_CLS, AttachType.NONE): "tc",
    (ProgramType.TRACEPOINT, AttachType.NONE): "tracepoint",
    (ProgramType.RAW_TRACEPOINT, AttachType.NONE): "raw_tracepoint",
    (ProgramType.KPROBE, AttachType.TRACE_KPROBE_MULTI): "kprobe.multi",
    (ProgramType.KPROBE, AttachType.TRACE_UPROBE_SESSION): "uprobe.session",
}


def section_name(hook: Hook, spec: ProgramSpec) -> str | None:
    """The section in which loaders expect the program; None when they know none.

    Probes at one side are written for perf events, whatever this kernel prefers: the code is the same, and every
    libbpf knows ``uprobe``, while ``uprobe.multi`` came with libbpf 1.3.
    """
    if isinstance(hook, Uretprobe):
        return "uretprobe"
    if isinstance(hook, Uprobe):
        return "uprobe"
    if spec.type is ProgramType.KPROBE and spec.attach_type is AttachType.NONE:
        return "kretprobe" if isinstance(hook, Kretprobe) else "kprobe"
    key = (spec.type, spec.attach_type)
    if key in _OFTEN:
        return _OFTEN[key]
    for kind in section_kinds():
        found = hook_of(kind)
        if found is not None and (found.type, found.attach_type) == key:
            return kind
    return None
