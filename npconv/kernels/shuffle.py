"""Channel shuffle: whole planes change places. No arithmetic, each element moved once."""

from npconv.kernels.compile import driver
from npconv.kernels.registers import claim
from npconv.kernels.tile import MOVED, copy


@driver
def shuffle(sizes, x, y, counter, tally):
    """y[n, j*groups + i] = x[n, i*(C // groups) + j], plane by plane, for units n*C + j*groups + i claimed from `counter`."""
    (units, C, groups, plane) = sizes
    unit = claim(counter)
    while unit < units:
        j = unit % C // groups
        i = unit % groups
        copy(x, (unit // C * C + i * (C // groups) + j) * plane, y, unit * plane, plane)
        tally[MOVED] += plane
        unit = claim(counter)
