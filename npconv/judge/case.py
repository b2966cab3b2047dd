"""One case of a run: a probe on a geometry, which its seed makes again whenever it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from npconv.geometry import Geometry
from npconv.judge.call import Call, checked_call
from npconv.judge.model import Model
from npconv.judge.probes import Probe
from npconv.memory import DType


@dataclass(frozen=True, slots=True)
class Case:
    """A probe on a geometry.

    Parameters
    ----------
    geometry : Geometry
        Shapes and options.
    probe : Probe
        What the arrays are.
    dtype : dtype
        Type of x and weight.
    model : Model
        Arithmetic under test, which integers are sized to.
    seed : int
        Where chance begins.
    biased : bool
        Whether there is a bias.
    """

    geometry: Geometry
    probe: Probe
    dtype: DType
    model: Model
    seed: int
    biased: bool = True

    @property
    def call(self) -> Call:
        """The arrays, and the options that they go with."""
        g = self.geometry
        x, weight, bias = self.probe.arrays(g, self.dtype, self.model, self.seed)
        return checked_call(
            x,
            weight,
            bias if self.biased else None,
            stride=g.stride,
            padding=g.padding,
            dilation=g.dilation,
            groups=g.groups,
        )

    def __str__(self) -> str:
        g = self.geometry
        shown = {
            "stride": (g.stride, (1, 1)),
            "padding": (g.padding, ((0, 0), (0, 0))),
            "dilation": (g.dilation, (1, 1)),
        }
        options = [f"{name}={value}" for name, (value, usual) in shown.items() if value != usual]
        options += [f"groups={g.groups}"] if g.groups > 1 else []
        return ", ".join(
            [f"x {g.x_shape}", f"weight {g.weight_shape}", *options, f"probe {self.probe.name}, seed {self.seed}"]
        )


# What a convolution may have, for a run to tell what it never came to judge.
FEATURES: dict[str, Callable[[Geometry], bool]] = {
    "stride": lambda g: g.stride != (1, 1),
    "padding": lambda g: g.padding != ((0, 0), (0, 0)),
    "padding that differs between the ends of an axis": lambda g: any(first != last for first, last in g.padding),
    "dilation": lambda g: g.dilation != (1, 1),
    "groups": lambda g: g.groups > 1,
    "even kernels": lambda g: g.KH % 2 == 0 or g.KW % 2 == 0,
    "several images": lambda g: g.N > 1,
    "an empty batch": lambda g: g.N == 0,
}
