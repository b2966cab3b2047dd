"""Mistakes of bias, batch, layout and numbers: what is added, where it is stored, and how it is rounded."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from npconv.judge.fault import (
    Evidence,
    Family,
    Fault,
    Mistake,
    Numbers,
    finished,
    fitted,
    left_out,
    stored,
    vectors,
    with_bias,
    with_x,
)
from npconv.judge.formats import rounded
from npconv.judge.reading import Array, Reading

BIAS, BATCH, LAYOUT, FILTERS, OUTPUT, INTEGER, ROUNDING, PADDING = (
    *("bias", "batch", "image layout", "filters", "output", "integers", "rounding", "padding"),
)


def _images(change: Callable[[int], Array]) -> Mistake:
    """Return the mistake of reading other images of the batch."""
    return lambda right: replace(right, images=change(right.geometry.N))


def _as_nchw(x: Array) -> Array:
    """Return what is read of NHWC memory that is taken for NCHW."""
    return x.transpose(0, 2, 3, 1).reshape(x.shape)


def _as_nhwc(x: Array) -> Array:
    """Return what is read of NCHW memory that is taken for NHWC."""
    N, C, H, W = x.shape
    return x.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def _as_nchw_transposed(x: Array) -> Array:
    """Return what is read of NCHW memory whose rows are taken for columns."""
    N, C, H, W = x.shape
    return x.reshape(N, C, W, H).swapaxes(2, 3)


def _column_by_column(y: Array) -> Array:
    """Return what is read row by row of planes that are stored column by column."""
    return y.swapaxes(2, 3).reshape(y.shape)


def _integers_only(mistake: Mistake) -> Mistake:
    return lambda right: mistake(right) if right.x.dtype.kind in "iu" else None


def _rounded_to(right: Reading, form: str, operands: str) -> Reading | None:
    """Return a reading of operands that are rounded to a narrower format."""
    wide = np.result_type(right.x, right.weight)
    if wide.kind in "iu" or form not in _NARROWER[wide.name]:
        return None
    changed: dict[str, Any] = {name: rounded(getattr(right, name), form).astype(wide) for name in operands.split()}
    if form == "float16" and all(
        np.array_equal(changed[name], rounded(getattr(right, name), "tf32")) for name in changed
    ):
        # The same 11 bits.
        return None
    return replace(right, rounding=f"{operands} {form}", **changed)


# Narrow formats of operands, and what the mistake is called.
INPUTS = {
    "float32": "inputs rounded to float32",
    "tf32": "inputs rounded to tf32 or float16",
    "bfloat16": "inputs rounded to bfloat16",
    "float16": "inputs rounded to float16, out of its range",
}
# What a result's type can be mistaken for on the way in.
_NARROWER = {
    "float64": ("float32", "tf32", "bfloat16", "float16"),
    "float32": ("tf32", "bfloat16", "float16"),
    "float16": (),
}


def _zero_point(right: Reading, number: int) -> Reading:
    """Return a reading whose image is still offset by its zero point, and whose padding is zero."""
    return replace(right, x=_offset(right.x, number))


def _zero_point_everywhere(right: Reading, number: int) -> Reading:
    return replace(right, x=_offset(right.x, number), fill=number)


def _where_padded(numbers: Numbers) -> Numbers:
    """Return the numbers of a mistake that takes padding."""
    return lambda right, evidence: (
        numbers(right, evidence) if any((c < 0).any() for c in (right.rows, right.columns)) else ()
    )


def _other_padding(right: Reading, number: int) -> Reading:
    return replace(right, fill=number)


def _weight_zero_point(right: Reading, number: int) -> Reading:
    return replace(right, weight=_offset(right.weight, number))


def _offset(operand: Array, number: int) -> Array:
    """Return an operand plus a number, in a type that holds both."""
    return operand.astype(np.int64) + number if operand.dtype.kind in "iu" else operand + operand.dtype.type(number)


def _old_output(right: Reading, number: int) -> Reading:
    return replace(right, finish="added to", amount=number)


def _whole_vectors(right: Reading, lanes: int) -> Reading | None:
    return left_out(lambda g: np.s_[:, g.O // lanes * lanes :])(right)


def _lanes(right: Reading, evidence: Evidence | None) -> Iterable[int]:
    return vectors(right.geometry.O)


FAULTS = (
    Fault("bias missing", "The bias is never added.", BIAS, with_bias(lambda b, g: None)),
    Fault("bias doubled", "The bias is added twice.", BIAS, with_bias(lambda b, g: 2 * b)),
    Fault("bias subtracted", "The bias is subtracted.", BIAS, with_bias(lambda b, g: -b)),
    Fault("bias shifted", "Each filter gets the bias of the next.", BIAS, with_bias(lambda b, g: np.roll(b, -1))),
    Fault(
        "bias shifted backwards",
        "Each filter gets the bias of the one before.",
        BIAS,
        with_bias(lambda b, g: np.roll(b, 1)),
        lambda g: g.O > 2,
    ),
    Fault(
        "first bias for all",
        "Every filter gets the bias of the first.",
        BIAS,
        with_bias(lambda b, g: np.repeat(b[:1], len(b))),
    ),
    Fault(
        "first group's bias for all",
        "The bias is indexed by the filter's place in its group.",
        BIAS,
        with_bias(lambda b, g: np.tile(b[: g.group_filters], g.groups)),
        lambda g: g.group_filters > 1,
    ),
    Fault(
        "bias added for every channel",
        "The bias is added once for every channel of the group.",
        BIAS,
        with_bias(lambda b, g: b * b.dtype.type(g.group_channels)),
        lambda g: g.group_channels > 2,
    ),
    Fault(
        "bias added for every product",
        "The bias is added with every product.",
        BIAS,
        with_bias(lambda b, g: b * b.dtype.type(g.K)),
        lambda g: g.KH * g.KW > 1 and g.K > 2,
    ),
    Fault(
        "batch 0 repeated",
        "Every image of the batch is taken for the first.",
        BATCH,
        _images(lambda n: np.zeros(n, np.int64)),
    ),
    Fault(
        "batch reversed",
        "The images of the batch are read from last to first.",
        BATCH,
        _images(lambda n: np.arange(n)[::-1]),
    ),
    Fault(
        "last image dropped",
        "The outputs of the last image are left as they were.",
        BATCH,
        left_out(lambda g: np.s_[-1:]),
        lambda g: g.N > 1,
    ),
    Fault(
        "all but the first image dropped",
        "The outputs of the first image alone are written.",
        BATCH,
        left_out(lambda g: np.s_[1:]),
        lambda g: g.N > 2,
    ),
    Fault("NHWC image read as NCHW", "Images stored as NHWC are read as if they were NCHW.", LAYOUT, with_x(_as_nchw)),
    Fault("NCHW image read as NHWC", "Images stored as NCHW are read as if they were NHWC.", LAYOUT, with_x(_as_nhwc)),
    Fault(
        "H and W of the image exchanged",
        "Rows of the image are read as columns: NCWH where NCHW is stored.",
        LAYOUT,
        with_x(_as_nchw_transposed),
    ),
    Fault(
        "NHWC output taken for NCHW",
        "Outputs are stored as NHWC, and read as if they were NCHW.",
        LAYOUT,
        stored(_as_nchw),
    ),
    Fault(
        "NCHW output taken for NHWC",
        "Outputs are stored as NCHW, and read as if they were NHWC.",
        LAYOUT,
        stored(_as_nhwc),
    ),
    Fault("H and W of the output exchanged", "Outputs are stored column by column.", LAYOUT, stored(_column_by_column)),
    Fault(
        "last filter dropped",
        "The outputs of the last filter are left as they were.",
        FILTERS,
        left_out(lambda g: np.s_[:, -1]),
        lambda g: g.O > 1,
    ),
    Fault(
        "first filter dropped",
        "The outputs of the first filter are left as they were.",
        FILTERS,
        left_out(lambda g: np.s_[:, 0]),
        lambda g: g.O > 1,
    ),
    Fault("nothing computed", "All outputs are left as they were.", OUTPUT, left_out(lambda g: np.s_[:])),
    Fault(
        "result added to the same result",
        "The output was not cleared, and held the result already.",
        OUTPUT,
        finished("doubled"),
    ),
    Fault("ReLU applied", "Negative outputs are set to zero.", OUTPUT, finished("ReLU")),
    Fault("sign flipped", "Every output has the wrong sign.", OUTPUT, finished("negated")),
    *(
        Fault(
            f"saturated at {bits} bits",
            f"Outputs beyond {bits} bits are set to the nearest number of {bits} bits, where they should wrap or fit.",
            INTEGER,
            _integers_only(finished("saturated", bits)),
        )
        for bits in (8, 16, 32)
    ),
    *(
        Fault(
            f"wrapped at {bits} bits",
            f"Sums are kept in {bits} bits, and wrap.",
            INTEGER,
            _integers_only(finished("wrapped", bits)),
        )
        for bits in (8, 16, 32)
    ),
    *(
        Fault(
            name,
            f"Images and filters are rounded to {form}, and then computed with as they should be.",
            ROUNDING,
            partial(_rounded_to, form=form, operands="x weight"),
        )
        for form, name in INPUTS.items()
    ),
    *(
        Fault(
            f"{what} rounded to {name}",
            f"The {what} are rounded to {form}, and then computed with as they should be.",
            ROUNDING,
            partial(_rounded_to, form=form, operands=operand),
        )
        for form, name in (
            ("bfloat16", "bfloat16"),
            ("tf32", "tf32 or float16"),
            ("float16", "float16, out of its range"),
        )
        for what, operand in (("images", "x"), ("filters", "weight"))
    ),
)

FAMILIES = (
    Family(
        "filters beyond the last {} dropped",
        "Filters are computed {} at a time, and what is left of them never.",
        FILTERS,
        _whole_vectors,
        _lanes,
    ),
    Family(
        "zero point {} not subtracted",
        "Images are offset by their zero point, {}, when they are multiplied; padding is 0.",
        OUTPUT,
        _zero_point,
        fitted(_zero_point),
    ),
    Family(
        "zero point {} not subtracted, not even from padding",
        "Images and padding are offset by their zero point, {}, when they are multiplied.",
        PADDING,
        _zero_point_everywhere,
        _where_padded(fitted(_zero_point_everywhere)),
    ),
    Family(
        "padding of {}",
        "Images are padded with {} in place of 0, as where a zero point is not applied to padding.",
        PADDING,
        _other_padding,
        fitted(_other_padding),
    ),
    Family(
        "weight zero point {} not subtracted",
        "Filters are offset by their zero point, {}, when they are multiplied.",
        OUTPUT,
        _weight_zero_point,
        fitted(_weight_zero_point),
    ),
    Family(
        "result added to an old output of {}",
        "The output was not cleared, and held {} already.",
        OUTPUT,
        _old_output,
        fitted(_old_output),
    ),
)
