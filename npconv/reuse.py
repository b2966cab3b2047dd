"""A result lies where one of the same shape and type lay before that nobody holds any more.

To give memory back to the system and to ask for it anew takes longer than many a layer: the system maps it page by page as it is written.
Whether anybody holds a result NumPy tells safely: all views of it refer to the one array whose memory they show.
"""

import math
from collections import OrderedDict, deque
from contextlib import suppress
from sys import getrefcount
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy import ndarray

from npconv.memory import WORTH_ALIGNING, DType, Shape, address_of, aligned, check_room, no_room

Array = npt.NDArray[Any]
# An array whose memory a result lies in, and where it begins there.
Place = tuple[Array, int]

# Bytes that are kept, of how many shapes and types, and how many results of each.
MOST_BYTES, MOST_FORMS, MOST_ALIKE = 64 * 1024 * 1024, 64, 3

NONE: deque[Place] = deque()
_places: OrderedDict[tuple[Shape, DType], deque[Place]] = OrderedDict()


def allocated(operation: str, what: str, shape: Shape, dtype: DType) -> Array:
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
    # There is room for little, and it takes no time to find.
    little = 0 < math.prod(shape) * dtype.itemsize < WORTH_ALIGNING
    if not little:
        check_room(operation, what, shape, dtype)
    try:
        return np.empty(shape, dtype) if little else _elsewhere(shape, dtype)
    except MemoryError:
        raise no_room(operation, what, shape, dtype, "the system has no such block to give") from None


def _elsewhere(shape: Shape, dtype: DType) -> Array:
    """Return an array in new memory, which is kept."""
    array = aligned(shape, dtype)
    memory = array.base
    if isinstance(memory, np.ndarray) and 0 < array.nbytes <= MOST_BYTES:
        places = _places.pop((shape, dtype), None) or deque(maxlen=MOST_ALIKE)
        places.append((memory, address_of(array) - address_of(memory)))
        _places[shape, dtype] = places
        while len(_places) > MOST_FORMS or _kept_bytes() > MOST_BYTES:
            # Another thread may have forgotten it already.
            with suppress(KeyError):
                _places.popitem(last=False)
    return array


def _kept_bytes() -> int:
    """Return the bytes of all memory that is kept."""
    return sum(memory.nbytes for places in [*_places.values()] for memory, _ in [*places])


def _references(place: Place) -> int:
    """Return what Python counts for memory that nobody but this place refers to, taken as `allocated` takes it."""
    memory, _ = place
    return getrefcount(memory)


UNHELD = _references((np.empty(0, np.uint8), 0))
