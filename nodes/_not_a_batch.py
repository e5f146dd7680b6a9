"""Say what to do if another node takes a VIDEO for an IMAGE batch."""

from __future__ import annotations

from typing import NoReturn

from torch import Tensor

BETWEEN = "put Get Video Components between"
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
SPECIAL = (
    "getitem",
    "setitem",
    "len",
    "neg",
    *OPERATORS,
    *(f"r{name}" for name in OPERATORS),
)


class NotABatch:
    """Refuses what only tensors can do, with the remedy. It is neither a sequence nor a mapping."""

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("_") and hasattr(Tensor, name):
            raise AttributeError(f"A VIDEO has no {name}: {BETWEEN}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __bool__(self) -> bool:
        return True  # Python would ask for the length

    def _refuse(self, *values) -> NoReturn:
        raise TypeError(f"A VIDEO is not an IMAGE batch: {BETWEEN}.")


for name in SPECIAL:
    setattr(NotABatch, f"__{name}__", NotABatch._refuse)
