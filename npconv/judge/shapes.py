"""What a function may have had in mind that returned an output of another shape."""

from dataclasses import replace

from npconv.geometry import Geometry, output_size

Shape = tuple[int, ...]


def likely_reading(shape: Shape, geometry: Geometry) -> str:
    """Return a sentence on the mistake that gives this shape, or an empty one.

    >>> from npconv.geometry import conv2d_geometry
    >>> likely_reading((1, 2, 3, 3), conv2d_geometry((1, 1, 5, 5), (2, 1, 3, 3), padding=1))
    'That is the shape without padding.'
    """
    N, O, OH, OW = geometry.y_shape
    if shape == (N, OH, OW, O):
        return "That is (N, OH, OW, O): did you mean y.transpose(0, 3, 1, 2)?"
    if N == 1 and shape == (O, OH, OW):
        return "That lacks the batch: did you mean y[None]?"
    if shape == (N, O, OW, OH):
        return "That has rows and columns exchanged: did you mean y.swapaxes(2, 3)?"
    (sh, sw), (dh, dw), ((top, bottom), (left, right)) = geometry.stride, geometry.dilation, geometry.padding
    mistakes = {
        "without padding": replace(geometry, padding=((0, 0), (0, 0))),
        "with the padding of the first side alone": replace(geometry, padding=((top, 0), (left, 0))),
        "with the padding of the first side on both": replace(geometry, padding=((top, top), (left, left))),
        "with the paddings of rows and columns exchanged": replace(geometry, padding=((left, right), (top, bottom))),
        "without dilation": replace(geometry, dilation=(1, 1)),
        "with dilation one too large": replace(geometry, dilation=(dh + 1, dw + 1)),
        "with the dilations exchanged": replace(geometry, dilation=(dw, dh)),
        "without stride": replace(geometry, stride=(1, 1)),
        "with the strides exchanged": replace(geometry, stride=(sw, sh)),
    }
    for what, mistaken in mistakes.items():
        if shape == (N, O, *_sizes(mistaken)):
            return f"That is the shape {what}."
    if shape == (
        N,
        O,
        *(-(-(size - 1) // s) + 1 for size, s in zip(_sizes(replace(geometry, stride=(1, 1))), (sh, sw), strict=True)),
    ):
        return (
            "That is the shape with the size rounded up: did you mean (H + top + bottom - dh*(KH - 1) - 1) // sh + 1?"
        )
    return ""


def _sizes(geometry: Geometry) -> Shape:
    """Return the rows and columns that the options of a geometry give."""
    rows, columns = geometry.axes
    return output_size(*rows), output_size(*columns)
