"""Plans of recent functional calls, used again while the weights are what they were.

To check options, to choose a method and to pack weights takes longer than a small layer itself. A call like one before, with weights that
lie where they lay then, may use its plan if they are the same: every bit is compared with a copy. Nothing less would be safe, since an
array may change at any time and does not say so. To compare many weights takes longer than to pack them while they are used: where a
kernel can do that, its plan keeps none and serves any weights of that shape. What else is very large is packed anew, since copies would
take too much memory.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from npconv.memory import address_of, same_bytes

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Key: TypeAlias = tuple[Any, ...]

# Calls that are remembered at most, bytes of the weights of one of them, and of all that is kept for them.
MOST_CALLS, MOST_BYTES, MOST_BYTES_OF_ALL = 256, 16 * 1024 * 1024, 128 * 1024 * 1024
# Bytes of weights that are better packed at every call.
WORTH_PACKING = 256 * 1024


class Recent(NamedTuple):
    """A plan of any kind, copies of the operands that it keeps, where these copies lie, and their bytes."""

    plan: Any
    copies: Sequence[Array]
    addresses: list[int]
    sizes: list[int]

    @classmethod
    def of(cls, plan: Any, copies: Sequence[Array]) -> "Recent":
        """Return a plan and what it was made of and keeps."""
        return cls(plan, copies, [*map(address_of, copies)], [of.nbytes for of in copies])

    @property
    def nbytes(self) -> int:
        """Bytes that are kept: weights as they were given, and packed."""
        return 2 * sum(self.sizes)


# None for a call that was seen once: one of which there is no second costs no copy.
_calls: OrderedDict[Key, Recent | None] = OrderedDict()
_lock = threading.Lock()


def find_plan(operands: Sequence[Array], *call: Any) -> tuple[Key, Any]:
    """Return what calls have in common that can share a plan, and the plan of such a call before if what it keeps is what it was.

    In common they have where those operands lie, and all else that a plan depends on. Options are told apart by how they are written:
    True and 1.0 are not 1, though they are equal.
    """
    facts: Key = call
    few: tuple[Array, ...] = ()
    for of in operands:
        facts += (of.shape, of.strides, of.dtype)
        few += () if _many(of) else (of,)
    for kept in (operands,) if len(few) == len(operands) else (few, operands):
        addresses = [*map(address_of, kept)]
        key = (*addresses, *facts)
        recent = _calls.get(key)
        # NaN is what it was, and -0.0 is not 0.0.
        if recent and all(map(same_bytes, addresses, recent.addresses, recent.sizes)):
            return key, recent.plan
    return key, None


def plan_anew(key: Key, operands: Sequence[Array], make: Callable[..., Any]) -> Any:
    """Return the plan that `make` makes of the operands, and remember it: if it keeps all of them, when such a call was seen before.

    `make` is told whether the plan has to keep its weights: not where they are many.
    """
    many = [*map(_many, operands)]
    comparable = [of.flags.c_contiguous and of.nbytes <= MOST_BYTES for of in operands]
    again = all(comparable) and _calls.get(key, operands) is None
    # Made of copies: what another thread writes to the weights meanwhile is then not taken for what was packed.
    made_of = [of.copy() if again or not large else of for of, large in zip(operands, many, strict=True)]
    plan = make(*made_of, keeps=not any(many))
    kept = [i for i, large in enumerate(many) if plan.keeps or not large]
    if all(comparable[i] for i in kept):
        recent = Recent.of(plan, [made_of[i] for i in kept]) if again or not plan.keeps else None
        _remember((*[key[i] for i in kept], *key[len(operands) :]), recent)
    return plan


def _many(weight: Array) -> bool:
    """Return whether weights are better packed at every call, if the kernel can; those of one channel a filter are kept."""
    return weight.nbytes >= WORTH_PACKING and weight.ndim > 1 and weight.shape[1] > 1


def _remember(key: Key, recent: Recent | None) -> None:
    """Put a call in its place, and forget the oldest ones if that makes too many."""
    with _lock:
        _calls.pop(key, None)
        _calls[key] = recent
        while len(_calls) > MOST_CALLS or sum(each.nbytes for each in _calls.values() if each) > MOST_BYTES_OF_ALL:
            _calls.popitem(last=False)


def _forget() -> None:
    """Begin anew in a forked child: another thread may have been about to remember something."""
    global _lock
    _lock = threading.Lock()
    _calls.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
