"""Functions that misbehave, for the judge to call; some of them in a process of its own."""

import os
import sys
from typing import Any

import numpy as np

from npconv.geometry import conv2d_geometry


def right(x: Any, weight: Any, bias: Any, *, out: Any = None, **options: Any) -> Any:
    """Convolve, tap by tap, into `out` if it is there."""
    g = conv2d_geometry(x.shape, weight.shape, **options)
    (sh, sw), (dh, dw), (rows, columns) = g.stride, g.dilation, g.padding
    padded = np.pad(x, ((0, 0), (0, 0), rows, columns))
    total = np.zeros(g.y_shape, np.result_type(x, weight))
    for o in range(g.O):
        first = o // g.group_filters * g.group_channels
        for c in range(g.group_channels):
            for kh in range(g.KH):
                for kw in range(g.KW):
                    plane = padded[:, first + c, kh * dh :, kw * dw :][
                        :, : (g.OH - 1) * sh + 1 : sh, : (g.OW - 1) * sw + 1 : sw
                    ]
                    total[:, o] += plane * weight[o, c, kh, kw]
    if bias is not None:
        total += bias[:, None, None]
    if out is None:
        return total
    out[...] = total
    return None


def upside_down(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Put the padding of the top at the bottom."""
    options["padding"] = (options["padding"][0][::-1], options["padding"][1])
    return right(x, weight, bias, **options)


def hangs(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Go on for ever, whatever is raised in the loop."""
    while True:
        pass


def hangs_in_compiled_code(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Sleep for an hour in C, all signals blocked."""
    import signal
    import time

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(3600)


def dies(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Bring the process down."""
    os.kill(os.getpid(), 11)


def leaves(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """End the process without a word."""
    os._exit(7)


def prints(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Talk."""
    sys.stdout.write("some words\n")
    return right(x, weight, bias, **options)


NOT_A_FUNCTION = 3
