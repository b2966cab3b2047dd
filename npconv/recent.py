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
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from npconv.kernels.comparing import Call, comparison
from npconv.kernels.forms import form
from npconv.memory import address_of

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Key: TypeAlias = tuple[Any, ...]
# The operands of a call: x, weights, and a bias or None.
Given: TypeAlias = tuple[Any, ...]

# Operands and options of a call: of `conv2d` and what is like it, and of `separable_conv2d`.
CALLS = (3, 7), (4, 4)
# Calls that are remembered at most, bytes of the weights of one of them, and of all that is kept for them.
MOST_CALLS, MOST_BYTES, MOST_BYTES_OF_ALL = 256, 16 * 1024 * 1024, 128 * 1024 * 1024
# Bytes of weights that are better packed at every call.
WORTH_PACKING = 256 * 1024


@dataclass(frozen=True, slots=True)
class Recent:
    """A plan of any kind, and what a call has to be given to use it.

    Attributes
    ----------
    plan : Conv2dPlan or SeparablePlan
        The plan.
    same : callable
        What tells whether a call is this one; see `npconv.kernels.comparing`.
    kept : tuple
        An array of the form of x, and copies of the other operands, or arrays of their form, or None.
    sizes : ndarray of int64
        How many bytes of each are compared: those of the copies.
    options : tuple
        The options of the call.
    nbytes : int
        Bytes that are kept: weights as they were given, and packed.
    """

    plan: Any
    same: Callable[[Call], bool]
    # Not to be read, and so not to be printed: some have no elements.
    kept: Given = field(repr=False)
    sizes: Array
    options: tuple[Any, ...]
    nbytes: int

    @classmethod
    def of(cls, plan: Any, given: Given, copies: Given, options: tuple[Any, ...]) -> "Recent":
        """Return what is kept of a call: copies of some operands, and the form of those that have none."""
        kept = tuple(
            form(of.shape, of.strides, of.dtype) if copy is None and of is not None else copy
            for of, copy in zip(given, copies, strict=True)
        )
        sizes = [0 if copy is None else copy.nbytes for copy in copies]
        return cls(plan, comparison(len(kept), len(options)), kept, np.array(sizes), options, 2 * sum(sizes))

    def serves(self, given: Given, options: tuple[Any, ...]) -> bool:
        """Return whether operands of the same forms hold what was kept, and options that are equal are written alike.

        NaN is what it was, and -0.0 is not 0.0; True and 1.0 are equal to 1, but are not written like it.
        """
        # It does not matter how x lies in memory, unless it is to be found at once.
        operands = self.kept[:1] + given[1:]
        return self.same((operands, self.kept, self.sizes, self.options, self.options)) and repr(options) == repr(
            self.options
        )


# None for a call that was seen once: one of which there is no second costs no copy.
_calls: OrderedDict[Key, Recent | None] = OrderedDict()
# The last call of those by which array object held the weights: most calls are given the same, and need not ask where it lies.
_hints: dict[int, Recent] = {}
_lock = threading.Lock()


def plan_at_hand(given: tuple[Any, ...], options: tuple[Any, ...]) -> Any:
    """Return the plan of the last call that was given this array of weights, if all else is what it was; else None.

    Operands are x, weights and a bias or None; each option has to be the very object that it was.
    """
    recent = _hints.get(id(given[1]))
    if recent is not None and recent.same((given, recent.kept, recent.sizes, options, recent.options)):
        return recent.plan
    return None


def find_plan(given: Given, options: tuple[Any, ...]) -> tuple[Key, Any]:
    """Return what calls have in common that can share a plan, and the plan of such a call before if what it keeps is what it was.

    In common they have where those operands lie that the plan keeps, equal options, and all else that a plan depends on.
    """
    x, *operands = given
    at_hand = True
    try:
        hash(options)
    except TypeError:
        options, at_hand = (repr(options),) * len(options), False
    forms = tuple(of if of is None else (of.shape, of.strides, of.dtype) for of in operands)
    where = tuple(0 if of is None else address_of(of) for of in operands)
    few = tuple(0 if of is None or _many(of) else address for of, address in zip(operands, where, strict=True))
    for addresses in dict.fromkeys((few, where)):
        key = (addresses, options, forms, x.shape, x.dtype)
        recent = _calls.get(key)
        if recent and recent.serves(given, options):
            if at_hand:
                if len(_hints) >= MOST_CALLS:
                    _hints.clear()
                _hints[id(operands[0])] = recent
            return key, recent.plan
    return key, None


def plan_anew(key: Key, given: Given, make: Callable[..., Any]) -> Any:
    """Return the plan that `make` makes of the operands, and remember it: if it keeps all of them, when such a call was seen before.

    `make` is told whether the plan has to keep its weights: not where they are many.
    """
    where, options, *rest = key
    operands = given[1:]
    many = [of is not None and _many(of) for of in operands]
    comparable = [of is None or (of.flags.c_contiguous and of.nbytes <= MOST_BYTES) for of in operands]
    again = all(comparable) and _calls.get(key, operands) is None
    # Made of copies: what another thread writes to the weights meanwhile is then not taken for what was packed.
    made_of = [
        of.copy() if of is not None and (again or not large) else of for of, large in zip(operands, many, strict=True)
    ]
    plan = make(*made_of, keeps=not any(many))
    kept = [plan.keeps or not large for large in many]
    if all(able or not keeps for able, keeps in zip(comparable, kept, strict=True)):
        copies = tuple(of if keeps else None for of, keeps in zip(made_of, kept, strict=True))
        addresses = tuple(address if keeps else 0 for address, keeps in zip(where, kept, strict=True))
        recent = Recent.of(plan, given, (None, *copies), options) if again or not plan.keeps else None
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
