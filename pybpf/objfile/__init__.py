"""Object files: programs compiled elsewhere (``clang -target bpf``) loaded from Python, with no compiler here.

``ObjectFile.open(path)`` reads one: maps, variables and programs as specs that can be printed and changed. ``load()``
resolves CO-RE relocations against the running kernel, links functions and gives live maps and programs.
"""

from pybpf.objfile.errors import ObjectError
from pybpf.objfile.file import ObjectFile
from pybpf.objfile.functions import Function
from pybpf.objfile.live import LiveProgram, LoadedObject
from pybpf.objfile.map_specs import MapSpec
from pybpf.objfile.program_specs import ObjectProgram
from pybpf.objfile.section_names import Hook, hook_of
from pybpf.objfile.variables import Variable, Variables

__all__ = [
    "Function",
    "Hook",
    "LiveProgram",
    "LoadedObject",
    "MapSpec",
    "ObjectError",
    "ObjectFile",
    "ObjectProgram",
    "Variable",
    "Variables",
    "hook_of",
]
