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
from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from npconv.kernels.comparing import comparison
from npconv.memory import address_of

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Key: TypeAlias = tuple[Any, ...]
# Of an operand: shape, strides, type.
Facts: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any]]

# Calls that are remembered at most, bytes of the weights of one of them, and of all that is kept for them.
MOST_CALLS, MOST_BYTES, MOST_BYTES_OF_ALL = 256, 16 * 1024 * 1024, 128 * 1024 * 1024
# Bytes of weights that are better packed at every call.
WORTH_PACKING = 256 * 1024
NOTHING: Array = np.empty(0)


class Recent(NamedTuple):
    """A plan of any kind, and what the operands and options of a call have to be to use it.

    Attributes
    ----------
    plan : Conv2dPlan or SeparablePlan
        The plan.
    facts : list of tuple
        What can be told of its operands without reading them.
    copies : tuple of ndarray
        Copies of its operands; an empty one where it does not keep an operand.
    options : tuple
        The options of the call.
    """

    plan: Any
    facts: list[Facts]
    copies: tuple[Array, ...]
    options: tuple[Any, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept: weights as they were given, and packed."""
        return 2 * sum(of.nbytes for of in self.copies)

    def serves(self, operands: tuple[Array, ...], options: tuple[Any, ...]) -> bool:
        """Return whether operands of the same facts hold what was kept, and options that are equal are the same.

        NaN is what it was, and -0.0 is not 0.0; True and 1.0 are equal to 1, but are not written like it.
        """
        return comparison(len(operands))((operands, self.copies)) and (
            all(map(is_, options, self.options)) or repr(options) == repr(self.options)
        )


# None for a call that was seen once: one of which there is no second costs no copy.
_calls: OrderedDict[Key, Recent | None] = OrderedDict()
# The same by which array object held the weights: most calls are given the same, and need not ask where it lies.
_hints: dict[Key, Recent] = {}
_lock = threading.Lock()


def find_plan(operands: tuple[Array, ...], options: tuple[Any, ...], *call: Any) -> tuple[Key, Any]:
    """Return what calls have in common that can share a plan, and the plan of such a call before if what it keeps is what it was.

    In common they have where those operands lie that the plan keeps, equal options, and all else that a plan depends on.
    """
    facts = [(of.shape, of.strides, of.dtype) for of in operands]
    hint = id(operands[0]), call
    recent = _hints.get(hint)
    if recent and recent.facts == facts and recent.serves(operands, options):
        return (), recent.plan
    try:
        hash(options)
    except TypeError:
        options = (repr(options),)
    where = tuple(map(address_of, operands))
    few = tuple(0 if _many(of) else address for of, address in zip(operands, where, strict=True))
    for addresses in dict.fromkeys((few, where)):
        key = (addresses, options, *facts, *call)
        recent = _calls.get(key)
        if recent and recent.serves(operands, options):
            if len(_hints) >= MOST_CALLS:
                _hints.clear()
            _hints[hint] = recent
            return key, recent.plan
    return key, None


def plan_anew(key: Key, operands: tuple[Array, ...], make: Callable[..., Any]) -> Any:
    """Return the plan that `make` makes of the operands, and remember it: if it keeps all of them, when such a call was seen before.

    `make` is told whether the plan has to keep its weights: not where they are many.
    """
    where, options, *rest = key
    many = [*map(_many, operands)]
    comparable = [of.flags.c_contiguous and of.nbytes <= MOST_BYTES for of in operands]
    again = all(comparable) and _calls.get(key, operands) is None
    # Made of copies: what another thread writes to the weights meanwhile is then not taken for what was packed.
    made_of = [of.copy() if again or not large else of for of, large in zip(operands, many, strict=True)]
    plan = make(*made_of, keeps=not any(many))
    kept = [plan.keeps or not large for large in many]
    if all(able or not keeps for able, keeps in zip(comparable, kept, strict=True)):
        copies = tuple(of if keeps else NOTHING for of, keeps in zip(made_of, kept, strict=True))
        addresses = tuple(address if keeps else 0 for address, keeps in zip(where, kept, strict=True))
        recent = Recent(plan, rest[: len(operands)], copies, options) if again or not plan.keeps else None
        _remember((addresses, options, *rest), recent)
    return plan


def _many(weight: Array) -> bool:
    """Return whether weights are better packed at every call, if the kernel can; those of one channel a filter are kept."""
    return weight.nbytes >= WORTH_PACKING and weight.ndim > 1 and weight.shape[1] > 1


def _remember(key: Key, recent: Recent | None) -> None:
    """Put a call in its place, and forget the oldest ones if that makes too many."""
    with _lock:
        _calls.pop(key, None)
        _calls[key] = recent
        _hints.clear()
        while len(_calls) > MOST_CALLS or sum(each.nbytes for each in _calls.values() if each) > MOST_BYTES_OF_ALL:
            _calls.popitem(last=False)


def _forget() -> None:
    """Begin anew in a forked child: another thread may have been about to remember something."""
    global _lock
    _lock = threading.Lock()
    _calls.clear()
    _hints.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
