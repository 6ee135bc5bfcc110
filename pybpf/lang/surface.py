"""Names that a program uses and that mean something only inside of one: helpers, kernel functions, constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import Self

    from pybpf.types import BpfType

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=int)


@dataclass(frozen=True)
class KernelCall:
    """How the compiler calls a function of the kernel.

    ``helper`` is the number of a stable helper (``enum bpf_func_id``); without one it is a kfunc, found by ``name`` in
    the kernel's BTF. ``since`` is the kernel that brought it.
    """

    name: str
    since: str
    helper: int | None = None


_ATTRIBUTE = "__bpf_call__"


def helper(number: int, *, since: str) -> Callable[[F], F]:
    """Declare a BPF helper: the decorated function's signature is the helper's."""

    def decorate(function: F) -> F:
        setattr(function, _ATTRIBUTE, KernelCall(function.__name__, since, number))
        return function

    return decorate


def kfunc(name: str, *, since: str) -> Callable[[F], F]:
    """Declare a kernel function called by BTF id: the decorated function's signature is the kfunc's."""

    def decorate(function: F) -> F:
        setattr(function, _ATTRIBUTE, KernelCall(name, since))
        return function

    return decorate


def kernel_call(function: object) -> KernelCall | None:
    """How to call ``function``, if it is a declared helper or kfunc."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, KernelCall) else None


class Constant(Generic[T]):
    """A number of a program's class, fixed when it is loaded: ``sample_every = Constant(u32, default=1)``.

    Inside the program it folds like a literal: ``if self.sample_every == 1:`` leaves one branch only. On the Python
    side it is the value given to the constructor.
    """

    def __init__(self, kind: type[T], default: T | None = None) -> None:
        self.type: BpfType = kind  # type: ignore[assignment]  # an int type for checkers, a Scalar when it runs
        self.default = default
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        return instance.constants[self.name]  # type: ignore[attr-defined]  # BpfObject provides it
