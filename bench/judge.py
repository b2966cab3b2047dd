"""Whether an output is right: its worst error, as a share of the bound that every order of summation keeps."""

from dataclasses import replace

import numpy as np

from bench.layers import Array, Layer
from npconv.geometry import Geometry

UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
WIDER: dict[str, np.dtype[np.floating]] = {"float32": np.dtype(np.float64), "float64": np.dtype(np.longdouble)}


class Judge:
    """The output of a layer in a wider type, and the error that each element may have; lives in a worker.

    With y the exact sum of its products, S the sum of their magnitudes and h how many of them are on the image, an
    output that is summed in any order, fused or not, is within ``h*u*S`` of y, u being the unit roundoff. The judge has
    a unit roundoff v of its own, and its y errs by at most ``h*v*S``; its S, in float64 with its unit roundoff w, is at
    least ``S*(1 - h*w)``: ``h*(u + v)*S*(1 + 2*h*w)`` allows for both, as long as ``2*h*w <= 1``.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self, layer: Layer, dtype: str) -> None:
        """Take up a layer."""
        g = layer.geometry
        x, weight = layer.arrays(dtype)
        self._y = by_taps(g, x.astype(WIDER[dtype]), weight.astype(WIDER[dtype]))
        S = by_taps(g, abs(x).astype(np.float64), abs(weight).astype(np.float64))
        plane = replace(g, N=1, C=1, O=1, groups=1)
        h = g.group_channels * by_taps(plane, np.ones(plane.x_shape), np.ones(plane.weight_shape))
        v = float(np.finfo(WIDER[dtype]).eps) / 2
        self._allowed = h * (UNIT_ROUNDOFF[dtype] + v) * (1 + 2 * h * UNIT_ROUNDOFF["float64"]) * S

    def worst(self, y: Array) -> float:
        """Return the largest error in units of what its element may have; above 1, or NaN, the output is wrong."""
        error = abs(y - self._y)
        # A window that lies on padding alone may have no error.
        shares = np.where(error == 0, 0.0, np.inf)
        np.divide(error, self._allowed, out=shares, where=self._allowed > 0, casting="same_kind")
        return float(np.max(shares))


def by_taps(geometry: Geometry, x: Array, weight: Array) -> Array:
    """Return the convolution as a sum over taps, each a matrix product on a strided slice of the padded image."""
    (sh, sw), (dh, dw), groups = geometry.stride, geometry.dilation, geometry.groups
    N, O, OH, OW = geometry.y_shape
    padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
    planes = padded.reshape(N, groups, geometry.group_channels, *padded.shape[2:])
    filters = weight.reshape(groups, geometry.group_filters, *weight.shape[1:])
    y = np.zeros((N, groups, geometry.group_filters, OH * OW), x.dtype)
    for kh in range(geometry.KH):
        for kw in range(geometry.KW):
            rows = slice(kh * dh, kh * dh + (OH - 1) * sh + 1, sh)
            columns = slice(kw * dw, kw * dw + (OW - 1) * sw + 1, sw)
            y += filters[..., kh, kw] @ planes[..., rows, columns].reshape(*planes.shape[:3], OH * OW)
    return y.reshape(N, O, OH, OW)
