"""Arguments of calls: evaluated in the order they are written, then given to the parameters by Python's rules."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pybpf.lang.lower import expressions
from pybpf.lang.values import Owner, Value

if TYPE_CHECKING:
    import inspect

    from pybpf.lang.lower.state import Lowering


@dataclass(frozen=True)
class Argument:
    """The value for a parameter, and where it is written."""

    node: ast.expr
    value: Value


def bound(
    lo: Lowering, node: ast.Call, name: str, signature: inspect.Signature, receiver: Owner | None = None
) -> dict[str, Argument]:
    """The arguments of ``node`` by parameter; ``receiver`` goes before the others."""
    refuse_stars(lo, node)
    written = [*node.args, *(keyword.value for keyword in node.keywords)]
    values = [Argument(place, value) for place, value in zip(written, expressions.operands(lo, written))]
    positional: list[Any] = [] if receiver is None else [Argument(node.func, receiver)]
    positional += values[: len(node.args)]
    by_name: dict[str, Any] = {
        str(keyword.arg): value for keyword, value in zip(node.keywords, values[len(node.args) :])
    }
    try:
        return dict(signature.bind(*positional, **by_name).arguments)
    except TypeError as error:
        lo.error(node, f"{name}: {error}", hint=f"{name}{signature}")


def named(lo: Lowering, node: ast.Call, names: tuple[str, ...], required: int) -> dict[str, Argument]:
    """The arguments of ``node`` for a method that takes ``names``, of which the first ``required`` must be there."""
    refuse_stars(lo, node)
    whole = f"{ast.unparse(node.func)} takes ({', '.join(names)})"
    if len(node.args) > len(names):
        lo.error(node, whole)
    given = list(names[: len(node.args)])
    for keyword in node.keywords:
        if keyword.arg not in names or keyword.arg in given:
            lo.error(keyword.value, f"unexpected argument {keyword.arg!r}", hint=whole)
        given.append(keyword.arg)
    if any(name not in given for name in names[:required]):
        lo.error(node, whole)
    written = [*node.args, *(keyword.value for keyword in node.keywords)]
    values = expressions.operands(lo, written)
    return {name: Argument(place, value) for name, place, value in zip(given, written, values)}


def single(lo: Lowering, node: ast.Call) -> ast.expr:
    """The only argument of ``node``."""
    if len(node.args) != 1 or node.keywords:
        lo.error(node, f"{ast.unparse(node.func)} takes one argument")
    return node.args[0]


def refuse_stars(lo: Lowering, node: ast.Call) -> None:
    """``*`` and ``**`` arguments are not in the language."""
    stars = [arg for arg in node.args if isinstance(arg, ast.Starred)]
    if stars or any(keyword.arg is None for keyword in node.keywords):
        place = stars[0] if stars else node
        lo.error(place, "* and ** arguments are not in the language", hint="write them one by one")
