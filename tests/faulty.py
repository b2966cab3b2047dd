"""A convolution in index arithmetic over flat memory, as one would write it in C, and the same with one line wrong.

It shares no code with the judge's own mistakes, which rearrange arrays. Sums are made one product after the other, each rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npconv.geometry import Geometry
from npconv.judge.call import Call

Array = NDArray[Any]
Index = Any  # an integer, or an array of them


@dataclass(frozen=True)
class Kernel:
    """The lines of a convolution that can be wrong; `g` is the geometry, and -1 an address that is not used."""

    image: Callable[[Geometry, Index], Index] = lambda g, n: n
    channel: Callable[[Geometry, Index, int], Index] = lambda g, o, i: o // (g.O // g.groups) * (g.C // g.groups) + i
    row: Callable[[Geometry, Index, int], Index] = lambda g, oh, kh: (
        oh * g.stride[0] + kh * g.dilation[0] - g.padding[0][0]
    )
    column: Callable[[Geometry, Index, int], Index] = lambda g, ow, kw: (
        ow * g.stride[1] + kw * g.dilation[1] - g.padding[1][0]
    )
    edge: Callable[[Index, int], Index] = lambda h, n: h
    of_x: Callable[[Geometry, Index, Index, Index, Index], Index] = lambda g, n, c, h, w: (
        ((n * g.C + c) * g.H + h) * g.W + w
    )
    of_weight: Callable[[Geometry, Index, int, int, int], Index] = lambda g, o, i, kh, kw: (
        ((o * (g.C // g.groups) + i) * g.KH + kh) * g.KW + kw
    )
    of_y: Callable[[Geometry, Index, Index, Index, Index], Index] = lambda g, n, o, oh, ow: (
        ((n * g.O + o) * g.OH + oh) * g.OW + ow
    )
    used: Callable[[Geometry, int, int, int], bool] = lambda g, i, kh, kw: True
    bias: Callable[[Geometry, Array, Index], Any] = lambda g, b, o: b[o]
    load: Callable[[Array], Array] = lambda values: values
    load_weight: Callable[[Array], Array] = lambda values: values
    padding: int = 0
    add: Callable[[Array], Array] = lambda partial_sum: partial_sum
    store: Callable[[Array], Array] = lambda y: y

    def __call__(self, call: Call, left: float = 0.0) -> Array:
        """Return the outputs, in a buffer that held `left` everywhere."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._outputs(call, left)

    def _outputs(self, call: Call, left: float) -> Array:
        g, kind = call.geometry, np.dtype(np.int64 if call.is_integer else call.dtype)
        x, weight = (self.load(call.x.ravel()).astype(kind), self.load_weight(call.weight.ravel()).astype(kind))
        n, o, oh, ow = np.ogrid[: g.N, : g.O, : g.OH, : g.OW]
        total = np.zeros(g.y_shape, kind)
        for i in range(g.C // g.groups):
            for kh in range(g.KH):
                for kw in range(g.KW):
                    if self.used(g, i, kh, kw):
                        h, w = self.edge(self.row(g, oh, kh), g.H), self.edge(self.column(g, ow, kw), g.W)
                        inside = (h >= 0) & (h < g.H) & (w >= 0) & (w < g.W)
                        address = self.of_x(
                            g, self.image(g, n), self.channel(g, o, i), h.clip(0, g.H - 1), w.clip(0, g.W - 1)
                        )
                        value = np.where(inside, x[address % x.size], kind.type(self.padding))
                        total = self.add(total + self.add(value * weight[self.of_weight(g, o, i, kh, kw)])).astype(kind)
        if call.bias is not None:
            total = self.add(total + self.bias(g, call.bias.astype(kind), o)).astype(kind)
        places = np.broadcast_to(self.of_y(g, n, o, oh, ow), g.y_shape)
        y = np.full(g.P, left if kind.kind == "f" else 0, kind)
        kept = (places >= 0) & (places < g.P)
        y[places[kept]] = self.store(total)[kept]
        return y.reshape(g.y_shape)


def _group(g: Geometry, o: Index) -> Index:
    return o // (g.O // g.groups)


def _in(g: Geometry, group: Index, i: int) -> Index:
    return group * (g.C // g.groups) + i


def _wrapped(bits: int, y: Array) -> Array:
    return y.astype(np.dtype(f"int{bits}")).astype(np.int64)


def _saturated(bits: int, y: Array) -> Array:
    info = np.iinfo(f"int{bits}")
    return np.where(y > info.max, info.max, np.where(y < info.min, info.min, y))


def narrow(form: str, values: Array) -> Array:
    """Return float32 or float64 numbers rounded to a narrower format, by library types or by bits."""
    import ml_dtypes

    if form == "tf32":
        # Round to nearest even at the 13th bit, in the bits of float32.
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        kept = (bits + 0xFFF + ((bits >> 13) & 1)) & ~np.uint64(0x1FFF)
        return kept.astype(np.uint32).view(np.float32).astype(values.dtype)
    kind = ml_dtypes.bfloat16 if form == "bfloat16" else np.dtype(form)
    return values.astype(kind).astype(values.dtype)


def _transposed_memory(shape: tuple[int, ...], order: tuple[int, ...], *index: Index) -> Index:
    """Return the address of an index in memory whose axes lie in another order."""
    address: Index = 0
    for axis in order:
        address = address * shape[axis] + index[axis]
    return address


def _unravelled(address: Index, shape: tuple[int, ...]) -> tuple[Index, ...]:
    index = []
    for extent in shape[::-1]:
        index.append(address % extent)
        address = address // extent
    return tuple(index[::-1])


_WEIGHTS = {
    "OHWI": (0, 2, 3, 1),
    "HWIO": (2, 3, 1, 0),
    "IHWO": (1, 2, 3, 0),
    "HWOI": (2, 3, 0, 1),
    "IOHW": (1, 0, 2, 3),
    "OIWH": (0, 1, 3, 2),
}


def _weight_read_as(axes: str, g: Geometry, *index: Index) -> Index:
    return _transposed_memory(g.weight_shape, _WEIGHTS[axes], *index)


def _weight_stored_as(axes: str, g: Geometry, *index: Index) -> Index:
    """Return the address in OIHW memory of what lies at an index's place in memory of other axes."""
    order, shape = _WEIGHTS[axes], g.weight_shape
    place = _transposed_memory(shape, (0, 1, 2, 3), *index)
    other = _unravelled(place, tuple(shape[axis] for axis in order))
    oihw = [other[order.index(axis)] for axis in range(4)]
    return _transposed_memory(shape, (0, 1, 2, 3), *oihw)


def _x_read_as_nhwc(g: Geometry, n: Index, c: Index, h: Index, w: Index) -> Index:
    return ((n * g.H + h) * g.W + w) * g.C + c


def _x_stored_as_nhwc(g: Geometry, n: Index, c: Index, h: Index, w: Index) -> Index:
    m, p, q, d = _unravelled(((n * g.C + c) * g.H + h) * g.W + w, (g.N, g.H, g.W, g.C))
    return ((m * g.C + d) * g.H + p) * g.W + q


def _y_stored_as_nhwc(g: Geometry, n: Index, o: Index, oh: Index, ow: Index) -> Index:
    return ((n * g.OH + oh) * g.OW + ow) * g.O + o


def _y_read_as_nhwc(g: Geometry, n: Index, o: Index, oh: Index, ow: Index) -> Index:
    m, p, q, d = _unravelled(((n * g.O + o) * g.OH + oh) * g.OW + ow, (g.N, g.OH, g.OW, g.O))
    return ((m * g.O + d) * g.OH + p) * g.OW + q


def _up(g: Geometry, axis: int) -> int:
    n, k, s, d, p0, p1 = g.axes[axis]
    return -(-(n + p0 + p1 - d * (k - 1) - 1) // s) + 1


def _same_total(g: Geometry, axis: int) -> int:
    n, k, s, d, *_ = g.axes[axis]
    return max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)


def is_same(g: Geometry, word: str) -> bool:
    """Return whether the padding is the one that a word stands for."""
    totals = (_same_total(g, 0), _same_total(g, 1))
    halves = [(t // 2, t - t // 2) if word == "same" else (t - t // 2, t // 2) for t in totals]
    return g.padding == tuple(halves)


def _in_whole_vectors(lanes: int, g: Geometry, i: int, kh: int, kw: int) -> bool:
    return i < g.C // g.groups // lanes * lanes


def _with_padding(top: Callable[[Geometry], int], left: Callable[[Geometry], int]) -> Kernel:
    return Kernel(
        row=lambda g, oh, kh: oh * g.stride[0] + kh * g.dilation[0] - top(g),
        column=lambda g, ow, kw: ow * g.stride[1] + kw * g.dilation[1] - left(g),
    )


def _with_steps(stride: Callable[[Geometry], Any], dilation: Callable[[Geometry], Any]) -> Kernel:
    return Kernel(
        row=lambda g, oh, kh: oh * stride(g)[0] + kh * dilation(g)[0] - g.padding[0][0],
        column=lambda g, ow, kw: ow * stride(g)[1] + kw * dilation(g)[1] - g.padding[1][0],
    )


def _mirror(h: Index, n: int) -> Index:
    while n > 1 and (np.min(h) < 0 or np.max(h) >= n):
        h = np.where(h < 0, -h, h)
        h = np.where(h >= n, 2 * (n - 1) - h, h)
    return h if n > 1 else h * 0


def _placed(condition: Callable[..., Any]) -> Kernel:
    """Return a kernel that writes only the outputs for which a condition holds."""
    return Kernel(
        of_y=lambda g, n, o, oh, ow: np.where(condition(g, n, o, oh, ow), ((n * g.O + o) * g.OH + oh) * g.OW + ow, -1)
    )


def _moved(rows: int, columns: int) -> Kernel:
    def place(g: Geometry, n: Index, o: Index, oh: Index, ow: Index) -> Index:
        oh, ow = oh + rows, ow + columns
        inside = (oh >= 0) & (oh < g.OH) & (ow >= 0) & (ow < g.OW)
        return np.where(inside, ((n * g.O + o) * g.OH + oh) * g.OW + ow, -1)

    return Kernel(of_y=place)


def _stride(g: Geometry) -> tuple[int, int]:
    return g.stride


def _dilation(g: Geometry) -> tuple[int, int]:
    return g.dilation


def _top(g: Geometry) -> int:
    return g.padding[0][0]


def _left(g: Geometry) -> int:
    return g.padding[1][0]


def _shuffled_output(g: Geometry, o: Index) -> Index:
    """Return the place of filter o after a channel shuffle."""
    return o % (g.O // g.groups) * g.groups + o // (g.O // g.groups)


_WEIGHT = Kernel().of_weight

KERNELS: dict[str, Kernel] = {
    "kernel flipped in y": Kernel(of_weight=lambda g, o, i, kh, kw: _WEIGHT(g, o, i, g.KH - 1 - kh, kw)),
    "kernel flipped in x": Kernel(of_weight=lambda g, o, i, kh, kw: _WEIGHT(g, o, i, kh, g.KW - 1 - kw)),
    "kernel flipped in y and x": Kernel(
        of_weight=lambda g, o, i, kh, kw: _WEIGHT(g, o, i, g.KH - 1 - kh, g.KW - 1 - kw)
    ),
    "kernel transposed": Kernel(of_weight=partial(_weight_read_as, "OIWH")),
    "IOHW weights read as OIHW": Kernel(of_weight=partial(_weight_stored_as, "IOHW")),
    "OIWH weights read as OIHW": Kernel(of_weight=partial(_weight_stored_as, "OIWH")),
    "no product added": Kernel(used=lambda g, i, kh, kw: False),
    "O and I exchanged": Kernel(of_weight=partial(_weight_read_as, "IOHW")),
    **{
        f"OIHW weights read as {axes}": Kernel(of_weight=partial(_weight_read_as, axes))
        for axes in ("OHWI", "HWIO", "IHWO", "HWOI")
    },
    **{
        f"{axes} weights read as OIHW": Kernel(of_weight=partial(_weight_stored_as, axes))
        for axes in ("OHWI", "HWIO", "IHWO", "HWOI")
    },
    "last tap dropped": Kernel(used=lambda g, i, kh, kw: (kh, kw) != (g.KH - 1, g.KW - 1)),
    "first tap dropped": Kernel(used=lambda g, i, kh, kw: (kh, kw) != (0, 0)),
    "last product dropped": Kernel(used=lambda g, i, kh, kw: (i, kh, kw) != (g.C // g.groups - 1, g.KH - 1, g.KW - 1)),
    "last kernel row dropped": Kernel(used=lambda g, i, kh, kw: kh < g.KH - 1),
    "first kernel row dropped": Kernel(used=lambda g, i, kh, kw: kh > 0),
    "last kernel column dropped": Kernel(used=lambda g, i, kh, kw: kw < g.KW - 1),
    "first kernel column dropped": Kernel(used=lambda g, i, kh, kw: kw > 0),
    "last channel dropped": Kernel(used=lambda g, i, kh, kw: i < g.C // g.groups - 1),
    "first channel dropped": Kernel(used=lambda g, i, kh, kw: i > 0),
    **{
        f"channels beyond the last {lanes} dropped": Kernel(used=partial(_in_whole_vectors, lanes))
        for lanes in (4, 8, 16, 32)
    },
    "pad sides swapped in y": _with_padding(lambda g: g.padding[0][1], _left),
    "pad sides swapped in x": _with_padding(_top, lambda g: g.padding[1][1]),
    "pad sides swapped in y and x": _with_padding(lambda g: g.padding[0][1], lambda g: g.padding[1][1]),
    "pad axes swapped": _with_padding(lambda g: g.padding[1][0], lambda g: g.padding[0][0]),
    "padding ignored": _with_padding(lambda g: 0, lambda g: 0),
    "SAME_LOWER for SAME_UPPER": _with_padding(
        lambda g: -(-_same_total(g, 0) // 2), lambda g: -(-_same_total(g, 1) // 2)
    ),
    "SAME_UPPER for SAME_LOWER": _with_padding(lambda g: _same_total(g, 0) // 2, lambda g: _same_total(g, 1) // 2),
    "half a kernel for SAME": _with_padding(
        lambda g: g.dilation[0] * (g.KH - 1) // 2, lambda g: g.dilation[1] * (g.KW - 1) // 2
    ),
    "replicate padding": Kernel(edge=lambda h, n: np.minimum(np.maximum(h, 0), n - 1)),
    "reflect padding": Kernel(edge=_mirror),
    "circular padding": Kernel(edge=lambda h, n: (h + 1000 * n) % n),
    "input shifted by one row down": _with_padding(lambda g: g.padding[0][0] + 1, _left),
    "input shifted by one row up": _with_padding(lambda g: g.padding[0][0] - 1, _left),
    "input shifted by one column to the right": _with_padding(_top, lambda g: g.padding[1][0] + 1),
    "input shifted by one column to the left": _with_padding(_top, lambda g: g.padding[1][0] - 1),
    "input pointer one element too far": Kernel(of_x=lambda g, n, c, h, w: ((n * g.C + c) * g.H + h) * g.W + w + 1),
    "output stored one row too low": _moved(1, 0),
    "output stored one row too high": _moved(-1, 0),
    "output stored one column too far right": _moved(0, 1),
    "output stored one column too far left": _moved(0, -1),
    "stride axes swapped": _with_steps(lambda g: (g.stride[1], g.stride[0]), _dilation),
    "stride ignored": _with_steps(lambda g: (1, 1), _dilation),
    "row stride used for columns": _with_steps(lambda g: (g.stride[0], g.stride[0]), _dilation),
    "column stride used for rows": _with_steps(lambda g: (g.stride[1], g.stride[1]), _dilation),
    "dilation axes swapped": _with_steps(_stride, lambda g: (g.dilation[1], g.dilation[0])),
    "dilation ignored": _with_steps(_stride, lambda g: (1, 1)),
    "dilation one too large": _with_steps(_stride, lambda g: (g.dilation[0] + 1, g.dilation[1] + 1)),
    "dilation one too small": _with_steps(
        _stride, lambda g: (g.dilation[0] - (g.dilation[0] > 1), g.dilation[1] - (g.dilation[1] > 1))
    ),
    "last input row not read": Kernel(
        row=lambda g, oh, kh: _but(oh * g.stride[0] + kh * g.dilation[0] - g.padding[0][0], g.H - 1)
    ),
    "last input column not read": Kernel(
        column=lambda g, ow, kw: _but(ow * g.stride[1] + kw * g.dilation[1] - g.padding[1][0], g.W - 1)
    ),
    "last output row dropped": _placed(lambda g, n, o, oh, ow: oh < g.OH - 1),
    "first output row dropped": _placed(lambda g, n, o, oh, ow: oh > 0),
    "last output column dropped": _placed(lambda g, n, o, oh, ow: ow < g.OW - 1),
    "first output column dropped": _placed(lambda g, n, o, oh, ow: ow > 0),
    "groups ignored": Kernel(channel=lambda g, o, i: i + 0 * o),
    "groups off by one": Kernel(channel=lambda g, o, i: _in(g, (_group(g, o) + 1) % g.groups, i)),
    "groups off by one, backwards": Kernel(channel=lambda g, o, i: _in(g, (_group(g, o) + g.groups - 1) % g.groups, i)),
    "groups reversed": Kernel(channel=lambda g, o, i: _in(g, g.groups - 1 - _group(g, o), i)),
    "group borders off by one": Kernel(channel=lambda g, o, i: _in(g, _group(g, (o + 1) % g.O), i)),
    "channels one too far": Kernel(channel=lambda g, o, i: (_in(g, _group(g, o), i) + 1) % g.C),
    "filters interleaved": Kernel(channel=lambda g, o, i: _in(g, o % g.groups, i)),
    "channels interleaved": Kernel(channel=lambda g, o, i: i * g.groups + _group(g, o)),
    "groups interleaved": Kernel(channel=lambda g, o, i: i * g.groups + o % g.groups),
    "next group's weights": Kernel(
        of_weight=lambda g, o, i, kh, kw: _WEIGHT(g, (o + g.O // g.groups) % g.O, i, kh, kw)
    ),
    "last group's weights first": Kernel(
        of_weight=lambda g, o, i, kh, kw: _WEIGHT(
            g, (g.groups - 1 - _group(g, o)) * (g.O // g.groups) + o % (g.O // g.groups), i, kh, kw
        )
    ),
    "first group's weights for all": Kernel(
        of_weight=lambda g, o, i, kh, kw: _WEIGHT(g, o % (g.O // g.groups), i, kh, kw)
    ),
    "depth-multiplier order of weights": Kernel(
        of_weight=lambda g, o, i, kh, kw: _WEIGHT(g, _shuffled_output(g, o), i, kh, kw)
    ),
    "outputs in depth-multiplier order": Kernel(
        of_y=lambda g, n, o, oh, ow: ((n * g.O + _shuffled_output(g, o)) * g.OH + oh) * g.OW + ow
    ),
    "outputs unshuffled": Kernel(
        of_y=lambda g, n, o, oh, ow: (
            ((n * g.O + o % g.groups * (g.O // g.groups) + o // g.groups) * g.OH + oh) * g.OW + ow
        )
    ),
    "channel shuffle inverse": Kernel(channel=lambda g, o, i: _unshuffle(g, _unshuffle(g, _in(g, _group(g, o), i)))),
    "input shuffled": Kernel(
        channel=lambda g, o, i: _in(g, _in(g, _group(g, o), i) % g.groups, _in(g, _group(g, o), i) // g.groups)
    ),
    "bias missing": Kernel(bias=lambda g, b, o: b[o] * 0),
    "bias doubled": Kernel(bias=lambda g, b, o: b[o] + b[o]),
    "bias subtracted": Kernel(bias=lambda g, b, o: -b[o]),
    "bias shifted": Kernel(bias=lambda g, b, o: b[(o + 1) % g.O]),
    "bias shifted backwards": Kernel(bias=lambda g, b, o: b[o - 1]),
    "first bias for all": Kernel(bias=lambda g, b, o: b[o * 0]),
    "first group's bias for all": Kernel(bias=lambda g, b, o: b[o % (g.O // g.groups)]),
    "bias added for every channel": Kernel(bias=lambda g, b, o: b[o] * (g.C // g.groups)),
    "bias added for every product": Kernel(bias=lambda g, b, o: b[o] * g.K),
    "batch 0 repeated": Kernel(image=lambda g, n: 0 * n),
    "batch reversed": Kernel(image=lambda g, n: g.N - 1 - n),
    "last image dropped": _placed(lambda g, n, o, oh, ow: n < g.N - 1),
    "all but the first image dropped": _placed(lambda g, n, o, oh, ow: n == 0),
    "NHWC image read as NCHW": Kernel(of_x=_x_stored_as_nhwc),
    "NCHW image read as NHWC": Kernel(of_x=_x_read_as_nhwc),
    "H and W of the image exchanged": Kernel(of_x=lambda g, n, c, h, w: ((n * g.C + c) * g.W + w) * g.H + h),
    "NHWC output taken for NCHW": Kernel(of_y=_y_stored_as_nhwc),
    "NCHW output taken for NHWC": Kernel(of_y=_y_read_as_nhwc),
    "H and W of the output exchanged": Kernel(of_y=lambda g, n, o, oh, ow: ((n * g.O + o) * g.OW + ow) * g.OH + oh),
    "last filter dropped": _placed(lambda g, n, o, oh, ow: o < g.O - 1),
    "first filter dropped": _placed(lambda g, n, o, oh, ow: o > 0),
    **{
        f"filters beyond the last {lanes} dropped": _placed(
            lambda g, n, o, oh, ow, lanes=lanes: o < g.O // lanes * lanes
        )
        for lanes in (4, 8, 16, 32)
    },
    "nothing computed": _placed(lambda g, n, o, oh, ow: n < 0),
    "result added to the same result": Kernel(store=lambda y: y + y),
    "ReLU applied": Kernel(store=lambda y: np.where(y < 0, 0, y)),
    "sign flipped": Kernel(store=lambda y: 0 - y),
    **{f"saturated at {bits} bits": Kernel(store=partial(_saturated, bits)) for bits in (8, 16, 32)},
    **{f"wrapped at {bits} bits": Kernel(store=partial(_wrapped, bits)) for bits in (8, 16, 32)},
    **{
        f"inputs rounded to {form}": Kernel(load=partial(narrow, form), load_weight=partial(narrow, form))
        for form in ("float32", "tf32", "bfloat16", "float16")
    },
    **{f"images rounded to {form}": Kernel(load=partial(narrow, form)) for form in ("bfloat16", "float16")},
    **{f"filters rounded to {form}": Kernel(load_weight=partial(narrow, form)) for form in ("bfloat16", "float16")},
    **{
        f"outputs rounded to {form}": Kernel(store=partial(narrow, form)) for form in ("float32", "float16", "bfloat16")
    },
    **{
        f"inputs and outputs rounded to {form}": Kernel(
            load=partial(narrow, form), load_weight=partial(narrow, form), store=partial(narrow, form)
        )
        for form in ("float32", "float16", "bfloat16")
    },
    **{f"accumulated in {form}": Kernel(add=partial(narrow, form)) for form in ("float32", "float16", "bfloat16")},
    **{
        f"computed in {form} throughout": Kernel(
            load=partial(narrow, form), load_weight=partial(narrow, form), add=partial(narrow, form)
        )
        for form in ("float32", "float16", "bfloat16")
    },
    "zero point 3 not subtracted": Kernel(load=lambda values: values + values.dtype.type(3)),
    "zero point 3 not subtracted, not even from padding": Kernel(
        load=lambda values: values + values.dtype.type(3), padding=3
    ),
    "padding of -5": Kernel(padding=-5),
    "weight zero point 2 not subtracted": Kernel(load_weight=lambda values: values + values.dtype.type(2)),
    "result added to an old output of 7": Kernel(store=lambda y: y + y.dtype.type(7)),
    **{
        f"group {group} not computed": _placed(lambda g, n, o, oh, ow, group=group: _group(g, o) != group)
        for group in (0, 1, 2)
    },
}


def _but(h: Index, last: int) -> Index:
    return np.where(h == last, -1, h)


def _unshuffle(g: Geometry, c: Index) -> Index:
    """Return which channel lies at place c after a channel unshuffle."""
    return c % (g.C // g.groups) * g.groups + c // (g.C // g.groups)


def rounded_up(call: Call) -> Array:
    """Return what a caller sees of a kernel that rounds sizes up: the first outputs of rows that are too wide."""
    g = call.geometry
    wide = replace(g, OH=_up(g, 0), OW=_up(g, 1))
    return Kernel()(replace(call, geometry=wide)).ravel()[: g.P].reshape(g.y_shape)
