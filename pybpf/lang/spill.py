"""Values that find no register: kept on the stack, or made anew where they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.lang import ir

if TYPE_CHECKING:
    from pybpf.lang.ir import Function, Instr, VReg


def spill(function: Function, registers: list[VReg]) -> None:
    """Rewrite ``function`` so that ``registers`` need none between their uses."""
    recipes = _recipes(function, registers)
    slots = {
        register: function.slot(f"spilled {register.name or register.number}", 8)
        for register in registers
        if register not in recipes
    }
    _receive_context(function, slots)
    for block in function.blocks:
        result: list[Instr] = []
        for instr in block.instructions:
            if instr.dst in recipes:
                continue
            fetched: dict[VReg, VReg] = {}
            for index, source in enumerate(instr.sources):
                if not isinstance(source, ir.VReg) or (source not in recipes and source not in slots):
                    continue
                if source not in fetched:
                    fetched[source] = function.register(source.name, pinned=True)
                    result.append(_fetch(fetched[source], source, recipes, slots, instr))
                instr.sources[index] = fetched[source]
            result.append(instr)
            if instr.dst is not None and instr.dst in slots:
                home = slots[instr.dst]
                fresh = function.register(instr.dst.name, pinned=True)
                instr.dst = fresh
                result.append(ir.Store(None, [fresh], instr.line, slot=home))
        block.instructions = result


def _fetch(fresh: VReg, old: VReg, recipes: dict[VReg, Instr], slots: dict[VReg, ir.Slot], at: Instr) -> Instr:
    recipe = recipes.get(old)
    if isinstance(recipe, ir.Move):
        return ir.Move(fresh, list(recipe.sources), at.line)
    if isinstance(recipe, ir.MapAddress):
        return ir.MapAddress(fresh, [], at.line, name=recipe.name)
    if isinstance(recipe, ir.Address):
        return ir.Address(fresh, [], at.line, slot=recipe.slot, offset=recipe.offset)
    return ir.Load(fresh, [], at.line, slot=slots[old])


def _recipes(function: Function, registers: list[VReg]) -> dict[VReg, Instr]:
    """How to make a value again: registers written once, by a constant or the address of a map or of the stack."""
    wanted = set(registers)
    written: dict[VReg, list[Instr]] = {}
    for instr in function.instructions():
        if instr.dst is not None and instr.dst in wanted:
            written.setdefault(instr.dst, []).append(instr)
    recipes = {}
    for register, sources in written.items():
        only = sources[0]
        constant = isinstance(only, ir.Move) and isinstance(only.sources[0], int)
        if len(sources) == 1 and (constant or isinstance(only, (ir.MapAddress, ir.Address))):
            recipes[register] = only
    return recipes


def _receive_context(function: Function, slots: dict[VReg, ir.Slot]) -> None:
    """The context arrives in a register; if it is spilled, it is stored at once."""
    if function.context not in slots:
        return
    old, fresh = function.context, function.register("context", pinned=True)
    function.blocks[0].instructions.insert(0, ir.Move(old, [fresh]))
    function.context = fresh
