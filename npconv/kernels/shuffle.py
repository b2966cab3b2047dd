"""Channel shuffle: whole planes change places. No arithmetic, each element moved once."""

from npconv.kernels.compile import driver
from npconv.kernels.tile import MOVED, copy
from npconv.kernels.work import next_unit, rest


@driver
def shuffle(sizes, x, y, counters, tally):
    """y[n, j*groups + i] = x[n, i*members + j], plane by plane; a unit, claimed from `counters`, is some members j of every group."""
    (units, groups, members, plane, blocks, block) = sizes
    unit = next_unit(counters, tally, units)
    while unit < units:
        n = unit // blocks
        first = unit % blocks * block
        source = n * groups * members * plane
        target = (n * members + first) * groups * plane
        for j in range(first, min(first + block, members)):
            for i in range(groups):
                copy(x, source + (i * members + j) * plane, y, target, plane)
                target += plane
                tally[MOVED] += plane
        unit = next_unit(counters, tally, units)
    rest(counters, tally)
