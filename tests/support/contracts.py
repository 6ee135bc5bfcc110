"""Who may import whom: the dependency direction of the design, as a table and a reader of import statements.

    cli -> agent -> {puts, trace, insight, sinks, store} -> {ca, pva, capture, ioc} -> pybpf

``programs/`` imports only pybpf; pybpf imports nothing of epicsmon. Inside pybpf:
errors, types <- asm, kernel <- btf, elf, maps <- verifier, lang, links <- object.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Lowest first. A room may import rooms of lower layers and of its own layer, as long as no circle arises.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"pybpf.errors", "pybpf.types"}),
    frozenset({"pybpf.asm", "pybpf.kernel"}),
    frozenset({"pybpf.btf", "pybpf.elf", "pybpf.maps", "pybpf.ringbuf", "pybpf.perfbuf"}),
    frozenset({"pybpf.verifier", "pybpf.verifier_log", "pybpf.lang", "pybpf.links"}),
    frozenset({"pybpf.program", "pybpf.vm", "pybpf.pins"}),
    frozenset({"pybpf.hooks"}),
    frozenset({"pybpf.object"}),
    frozenset({"pybpf.objfile"}),
    frozenset({"pybpf.tools"}),
    frozenset({"pybpf", "pybpf.__main__"}),
    frozenset({"epicsmon.programs"}),
    frozenset({"epicsmon.events", "epicsmon.text", "epicsmon.counters", "epicsmon.clock"}),
    frozenset({"epicsmon.ca", "epicsmon.pva", "epicsmon.capture", "epicsmon.ioc"}),
    frozenset({"epicsmon.puts", "epicsmon.trace", "epicsmon.insight", "epicsmon.sinks", "epicsmon.store"}),
    frozenset({"epicsmon.agent"}),
    frozenset({"epicsmon.demo", "epicsmon.web"}),
    frozenset({"epicsmon.cli"}),
    frozenset({"epicsmon", "epicsmon.__main__"}),
)

# Rooms that may see less than their layer allows: protocols are pure functions on bytes, programs know only pybpf.
ONLY: dict[str, frozenset[str]] = {
    "epicsmon.programs": frozenset(room for layer in LAYERS for room in layer if room.startswith("pybpf")),
    "epicsmon.ca": frozenset({"epicsmon.events", "epicsmon.text"}),
    "epicsmon.pva": frozenset({"epicsmon.events", "epicsmon.text"}),
    "epicsmon.events": frozenset({"epicsmon.text"}),
    "epicsmon.text": frozenset(),
    "epicsmon.web": frozenset({"epicsmon.events", "epicsmon.text", "epicsmon.store"}),
}

# Where the modules of each import package stand in the repository.
FOLDERS = {"pybpf": "pybpf", "epicsmon": "src/epicsmon", "epicsmon.programs": "programs"}


@dataclass(frozen=True, order=True)
class Import:
    """One import statement: the room it stands in, the room it reaches for, and where."""

    room: str
    target: str
    place: str


def layer_of(room: str) -> int | None:
    """Return the layer of a room, None if nobody has placed it in the table."""
    return next((number for number, layer in enumerate(LAYERS) if room in layer), None)


def room_of(module: str) -> str:
    """Return the room of a dotted module: the package's second level ("pybpf.asm.encode" -> "pybpf.asm")."""
    return ".".join(module.split(".")[:2])


def all_imports(root: Path = ROOT) -> list[Import]:
    """Return the imports between different rooms, those inside functions and TYPE_CHECKING included."""
    found = []
    for package, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = [p for p in path.relative_to(root / folder).with_suffix("").parts if p != "__init__"]
            module = ".".join([package, *parts])
            is_package = path.name == "__init__.py"
            for target, line in imports_of(path.read_text(), module, is_package=is_package):
                if room_of(target) != room_of(module):
                    found.append(Import(room_of(module), room_of(target), f"{path.relative_to(root)}:{line}"))
    return found


def is_module(name: str, root: Path = ROOT) -> bool:
    """Whether the first two levels of ``name`` are a module of ours, not a name that the package re-exports."""
    package, _, rest = room_of(name).partition(".")
    if not rest or room_of(name) in FOLDERS:
        return True
    path = root / FOLDERS[package] / rest
    return path.is_dir() or path.with_suffix(".py").exists()


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[str, int]]:
    """Yield (module imported, line) for each import of one of our packages in ``source``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + is_package]
                base = ".".join([*above, base]).rstrip(".")
            # `from epicsmon import events` reaches for epicsmon.events, not for the package's own names.
            inner = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if base in ("pybpf", "epicsmon") and is_module(name) else base for name in inner]
        else:
            continue
        for name in names:
            if name.split(".")[0] in ("pybpf", "epicsmon"):
                yield name, node.lineno


def broken(imports: list[Import]) -> list[str]:
    """Return a sentence for each import against the direction, and for each circle between rooms."""
    complaints = []
    for item in imports:
        allowed, own, reached = ONLY.get(item.room), layer_of(item.room), layer_of(item.target)
        if own is None or reached is None:
            nowhere = item.room if own is None else item.target
            complaints.append(f"{item.place}: {nowhere} has no layer: add it to LAYERS in {Path(__file__).name}")
        elif allowed is not None and item.target not in allowed:
            may = ", ".join(sorted(allowed)) or "nothing of ours"
            complaints.append(f"{item.place}: {item.room} may not import {item.target}; it may: {may}")
        elif reached > own:
            complaints.append(f"{item.place}: {item.room} imports {item.target}, which stands above it")
    return complaints + [f"a circle: {' -> '.join(circle)}" for circle in circles(imports)]


def circles(imports: list[Import]) -> list[list[str]]:
    """Return the circles among rooms (each once, starting at its alphabetically first room)."""
    graph: dict[str, set[str]] = {}
    for item in imports:
        graph.setdefault(item.room, set()).add(item.target)
    found = []
    for start in sorted(graph):
        stack = [[start]]
        seen = set()
        while stack:
            path = stack.pop()
            for target in sorted(graph.get(path[-1], ())):
                if target == start:
                    found.append([*path, start])
                elif target > start and target not in seen:
                    seen.add(target)
                    stack.append([*path, target])
    return found
