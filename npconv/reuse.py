"""A result lies where one of the same shape and type lay before that nobody holds any more.

To give memory back to the system and to ask for it anew takes longer than many a layer: the system maps it page by page as it is written.
Whether anybody holds a result is told by Python's own count of references: all views of a result, and whoever was lent its memory, refer to
the one array in whose memory it lies.
"""

from collections import OrderedDict, deque
from contextlib import suppress
from sys import getrefcount
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy import ndarray

from npconv.memory import DType, Shape, address_of, allocated

Array = npt.NDArray[Any]
# An array whose memory a result lies in, and where it begins there.
Place = tuple[Array, int]

# Bytes that are kept, of how many shapes and types, and how many results of each.
MOST_BYTES, MOST_FORMS, MOST_ALIKE = 64 * 1024 * 1024, 64, 3

NONE: deque[Place] = deque()
_places: OrderedDict[tuple[Shape, DType], deque[Place]] = OrderedDict()


def new_result(operation: str, what: str, shape: Shape, dtype: DType) -> Array:
    """Return an uninitialised array, or say why there is no room for it; if it is large, it begins on a cache line."""
    places = _places.get((shape, dtype), NONE)
    for _ in range(len(places)):
        try:
            # One step, which no other thread comes between: what was taken is this call's alone.
            place = places.pop()
        except IndexError:
            break
        memory, begin = place
        if getrefcount(memory) == UNHELD:
            array = ndarray(shape, dtype, memory, begin)
            places.append(place)
            return array
        places.appendleft(place)
    return _kept(allocated(operation, what, shape, dtype))


def _kept(array: Array) -> Array:
    """Keep the memory of a new result for those that come when nobody holds it any more, and let go of the oldest."""
    memory = array.base
    # Small arrays have no memory but their own. Of very large ones there would be room for one, and for no other.
    if memory is None or not 0 < 2 * array.nbytes <= MOST_BYTES:
        return array
    of = array.shape, array.dtype
    places = _places.pop(of, None) or deque(maxlen=MOST_ALIKE)
    places.append((memory, address_of(array) - address_of(memory)))
    _places[of] = places
    while len(_places) > MOST_FORMS or _kept_bytes() > MOST_BYTES:
        # Another thread may have let go of it already.
        with suppress(KeyError):
            _places.popitem(last=False)
    return array


def _kept_bytes() -> int:
    """Return the bytes of all memory that is kept."""
    return sum(memory.nbytes for places in [*_places.values()] for memory, _ in [*places])


def _references(place: Place) -> int:
    """Return what Python counts for memory that nobody but this place refers to, taken as `new_result` takes it."""
    memory, _ = place
    return getrefcount(memory)


# The place, the name and the argument, or fewer where Python lends them. Whoever looks on as this is counted, such as a tracer, may add one
# more, and then memory that somebody holds would be taken for free.
UNHELD = min(3, _references((np.empty(0, np.uint8), 0)))
