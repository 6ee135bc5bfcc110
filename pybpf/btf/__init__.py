"""Type information: the kernel's is read, a program's is written.

``KernelBtf.load()`` finds functions and types of the running kernel; :class:`BtfBuilder` writes the BTF that gives a
program's functions, maps and source lines their names.
"""

from pybpf.btf.builder import BtfBuilder
from pybpf.btf.errors import BtfError, TypeNotFound
from pybpf.btf.from_types import add_type
from pybpf.btf.kernel import KernelBtf
from pybpf.btf.kinds import VOID, FuncLinkage, IntEncoding, Kind, VarLinkage
from pybpf.btf.line_info import FuncInfo, LineInfo, encode_func_info, encode_line_info, line_info_of
from pybpf.btf.reader import Btf
from pybpf.btf.resolve import Place, member, size_of, strip
from pybpf.btf.types import (
    Array,
    Composite,
    DataSection,
    DeclTag,
    Enumeration,
    EnumValue,
    Float,
    Forward,
    Func,
    FuncProto,
    Int,
    Member,
    Parameter,
    Pointer,
    Qualifier,
    SectionItem,
    Type,
    Typedef,
    TypeTag,
    Var,
)

__all__ = [
    "VOID",
    "Array",
    "Btf",
    "BtfBuilder",
    "BtfError",
    "Composite",
    "DataSection",
    "DeclTag",
    "EnumValue",
    "Enumeration",
    "Float",
    "Forward",
    "Func",
    "FuncInfo",
    "FuncLinkage",
    "FuncProto",
    "Int",
    "IntEncoding",
    "KernelBtf",
    "Kind",
    "LineInfo",
    "Member",
    "Parameter",
    "Place",
    "Pointer",
    "Qualifier",
    "SectionItem",
    "Type",
    "TypeNotFound",
    "TypeTag",
    "Typedef",
    "Var",
    "VarLinkage",
    "add_type",
    "encode_func_info",
    "encode_line_info",
    "line_info_of",
    "member",
    "size_of",
    "strip",
]
