"""Whether an output is right: its worst error, as a share of the bound that every order of summation keeps."""

import numpy as np

from bench.layers import Array, Layer

UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
WIDER: dict[str, np.dtype[np.floating]] = {"float32": np.dtype(np.float64), "float64": np.dtype(np.longdouble)}


class Judge:
    """The output of a layer in a wider type, and the error that each element may have; lives in a worker.

    With y the exact sum of its products, S the sum of their magnitudes and h how many of them are on the image, an
    output that is summed in any order, fused or not, is within ``h*u*S`` of y, u being the unit roundoff. The judge has
    a unit roundoff v of its own, and its y and S err by at most ``h*v*S``: ``h*(u + 2*v)*S`` allows for that too, as
    long as ``h*(u + 2*v) <= 1``.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self, layer: Layer, dtype: str) -> None:
        """Take up a layer."""
        x, weight = (array.astype(WIDER[dtype]) for array in layer.arrays(dtype))
        self._y = by_taps(layer, x, weight)
        S = by_taps(layer, abs(x), abs(weight))
        plane = Layer(1, 1, layer.K, layer.H)
        taps = by_taps(plane, np.ones(plane.x_shape), np.ones(plane.weight_shape))
        h = taps * (layer.C // layer.groups)
        v = np.finfo(WIDER[dtype]).eps / 2
        self._allowed = h * (UNIT_ROUNDOFF[dtype] + 2 * v) * S

    def worst(self, y: Array) -> float:
        """Return the largest error in units of what its element may have; above 1, or NaN, the output is wrong."""
        return float(np.max(abs(y - self._y) / self._allowed))


def by_taps(layer: Layer, x: Array, weight: Array) -> Array:
    """Return the convolution as a sum over taps, each a matrix product on a slice of the padded image."""
    p, H, groups = layer.padding, layer.H, layer.groups
    planes = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))).reshape(groups, layer.C // groups, H + 2 * p, H + 2 * p)
    filters = weight.reshape(groups, layer.O // groups, layer.C // groups, layer.K, layer.K)
    y = np.zeros((groups, layer.O // groups, H * H), x.dtype)
    for kh in range(layer.K):
        for kw in range(layer.K):
            y += filters[..., kh, kw] @ planes[:, :, kh : kh + H, kw : kw + H].reshape(groups, -1, H * H)
    return y.reshape(layer.y_shape)
