"""Pictures of what convolutions compute, drawn from the counts and arrays that the library itself uses.

Each function draws on the axes that it is given, or on axes of its own, and returns them. The extra `plot` brings
Matplotlib.
"""

from npconv.plot.connectivity import connectivity
from npconv.plot.conventions import conventions
from npconv.plot.multiplications import multiplications
from npconv.plot.receptive_field import receptive_field

__all__ = ["connectivity", "conventions", "multiplications", "receptive_field"]
