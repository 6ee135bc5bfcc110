"""The section ``.kconfig``: how the running kernel was configured, as variables of a program (libbpf's externs)."""

from __future__ import annotations

import gzip
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pybpf.btf import Array, BtfError, Int, IntEncoding, Kind, Var, size_of, strip
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.features import PERF_LINK, have
from pybpf.kernel.prog_ops import version_code
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.map_specs import MapSpec
from pybpf.objfile.read_maps import data_section
from pybpf.types import ArrayType, Scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pybpf.btf import Btf

KCONFIG = ".kconfig"
_TRISTATE = {"y": 1, "m": 2, "n": 0}


@dataclass(frozen=True)
class KconfigVariable:
    """``offset`` and ``size`` in bytes; ``kind`` is "bool", "tristate", "text" or "number"."""

    name: str
    offset: int
    size: int
    kind: str


def kconfig_variables(btf: Btf | None) -> tuple[KconfigVariable, ...]:
    """What an object wants to know, laid out one behind the other.

    Raises:
        BtfError: a variable has no size.
    """
    record = data_section(btf, KCONFIG)
    if btf is None or record is None:
        return ()
    found = []
    end = 0
    for item in record[1].items:
        variable = btf.type(item.type)
        if not isinstance(variable, Var):
            raise BtfError(f"{KCONFIG} holds something that is no variable", item.type)
        size = size_of(btf, variable.type)
        end = -(-end // 8) * 8
        found.append(KconfigVariable(variable.name, end, size, _kind(btf, variable.type)))
        end += size
    return tuple(found)


def kconfig_spec(variables: tuple[KconfigVariable, ...]) -> MapSpec:
    """The map of these variables; its contents are known when it is loaded."""
    size = variables[-1].offset + variables[-1].size
    value = ArrayType(Scalar("u8", 1), size, as_bytes=True)
    return MapSpec(
        KCONFIG,
        MapType.ARRAY,
        4,
        size,
        1,
        MapFlag.MMAPABLE | MapFlag.RDONLY_PROG,
        key=Scalar("u32", 4),
        value=value,
        contents=bytes(size),
        frozen=True,
    )


def kconfig_contents(
    variables: tuple[KconfigVariable, ...], weak: frozenset[str], path: str, config: Mapping[str, str] | None = None
) -> bytes:
    """The values for the running kernel, or for a ``config`` (name -> ``y``, ``m``, ``100``, ``"text"``).

    Raises:
        ObjectError: the configuration does not say, and the variable is not weak.
    """
    data = bytearray(variables[-1].offset + variables[-1].size)
    for variable in variables:
        known = _builtin(variable.name)
        text = str(known) if known is not None else None
        if text is None:
            config = running_config() if config is None else config
            text = config.get(variable.name)
        if text is None:
            if variable.name not in weak:
                raise ObjectError(path, variable.name, "the kernel's configuration does not say (/proc/config.gz)")
            continue
        data[variable.offset : variable.offset + variable.size] = _value(variable, text, path)
    return bytes(data)


def running_config() -> dict[str, str]:
    """The options of the running kernel, from /proc/config.gz or /boot; empty where neither is there."""
    for path in (Path("/proc/config.gz"), Path(f"/boot/config-{os.uname().release}")):
        try:
            data = path.read_bytes()
        except OSError:
            continue
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
        lines = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
        return {name: value for name, _, value in lines}
    return {}


def _builtin(name: str) -> int | None:
    """What libbpf answers itself."""
    if name == "LINUX_KERNEL_VERSION":
        return version_code(os.uname().release, os.uname().version)
    if name == "LINUX_HAS_BPF_COOKIE":
        return int(have(PERF_LINK))  # bpf_get_attach_cookie came with links to perf events, in 5.15
    if name == "LINUX_HAS_SYSCALL_WRAPPER":
        # CONFIG_ARCH_HAS_SYSCALL_WRAPPER: x86-64 since 4.17, arm64 since 4.19
        return int(os.uname().machine in ("x86_64", "aarch64"))
    return None


def _kind(btf: Btf, type_id: int) -> str:
    kind = btf.type(strip(btf, type_id))
    if isinstance(kind, Int):
        return "bool" if kind.encoding & IntEncoding.BOOL else "number" if kind.size > 1 else "tristate"
    if isinstance(kind, Array):
        return "text"
    return "tristate" if btf.kind(strip(btf, type_id)) is Kind.ENUM else "number"


def _value(variable: KconfigVariable, text: str, path: str) -> bytes:
    if variable.kind == "text":
        return text.strip('"').encode()[: variable.size - 1].ljust(variable.size, b"\0")
    number = _TRISTATE.get(text)
    try:
        number = int(text, 0) if number is None else number
        if variable.kind == "bool" and not 0 <= number <= 1:
            raise OverflowError
        return number.to_bytes(variable.size, sys.byteorder, signed=number < 0)
    except (ValueError, OverflowError):
        raise ObjectError(path, variable.name, f"is {text} here, which does not fit a {variable.kind}") from None
