"""Wrappers that give a function of another layout, or of simpler options, the arguments and the result of `npconv.conv2d`."""

from typing import Any

import numpy as np

from npconv.judge.trial import Convolution


def channels_last(f: Convolution) -> Convolution:
    """Wrap a function of images (N, H, W, C) and filters (KH, KW, C // groups, O), as TensorFlow has them.

    Parameters
    ----------
    f : callable
        ``f(x, weight, bias, *, stride, padding, dilation, groups)``, whose result is (N, OH, OW, O).

    Returns
    -------
    callable
        The same of images (N, C, H, W) and filters (O, C // groups, KH, KW), whose result is (N, O, OH, OW).

    Examples
    --------
    >>> import numpy as np
    >>> from npconv.judge.adapters import channels_last
    >>> shapes = lambda x, weight, bias: print(x.shape, weight.shape) or x
    >>> channels_last(shapes)(np.ones((1, 3, 8, 9)), np.ones((4, 3, 2, 1)), None).shape
    (1, 8, 9, 3) (2, 1, 3, 4)
    (1, 3, 8, 9)
    """

    def conv2d(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
        image, filters = (
            np.ascontiguousarray(array.transpose(axes)) for array, axes in ((x, (0, 2, 3, 1)), (weight, (2, 3, 1, 0)))
        )
        return np.array(np.asarray(f(image, filters, bias, **options)).transpose(0, 3, 1, 2))

    return conv2d


def flattened_groups(f: Convolution) -> Convolution:
    """Wrap a function whose groups are an axis: images (N, G, C/G, H, W), filters (G, O/G, C/G, KH, KW), result (N, G, O/G, OH, OW).

    Parameters
    ----------
    f : callable
        ``f(x, weight, bias, *, stride, padding, dilation)``, with the bias as (G, O/G).

    Returns
    -------
    callable
        The function of arrays and groups that `npconv.conv2d` is.

    Examples
    --------
    >>> import numpy as np
    >>> from npconv.judge.adapters import flattened_groups
    >>> shapes = lambda x, weight, bias: print(x.shape, weight.shape) or x
    >>> flattened_groups(shapes)(np.ones((1, 6, 8, 9)), np.ones((4, 3, 1, 1)), None, groups=2).shape
    (1, 2, 3, 8, 9) (2, 2, 3, 1, 1)
    (1, 6, 8, 9)
    """

    def conv2d(x: Any, weight: Any, bias: Any, *, groups: int, **options: Any) -> Any:
        (N, C, *size), O = x.shape, len(weight)
        image, filters = (
            x.reshape(N, groups, C // groups, *size),
            weight.reshape(groups, O // groups, *weight.shape[1:]),
        )
        y = np.asarray(f(image, filters, None if bias is None else bias.reshape(groups, -1), **options))
        # In full: of an empty batch no length can be left open.
        return y.reshape(y.shape[0], y.shape[1] * y.shape[2], *y.shape[3:])

    return conv2d


def one_number_options(f: Convolution) -> Convolution:
    """Wrap a function whose stride, padding and dilation are one number each; what needs more is not asked of it.

    Parameters
    ----------
    f : callable
        ``f(x, weight, bias, *, stride, padding, dilation, groups)`` with integers.

    Returns
    -------
    callable
        The same with pairs, which raises `NotImplementedError` where rows and columns differ.

    Examples
    --------
    >>> import numpy as np
    >>> from npconv.judge.adapters import one_number_options
    >>> shown = lambda x, weight, bias, **options: print(options)
    >>> options = {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 3}
    >>> one_number_options(shown)(None, None, None, **options)
    {'stride': 2, 'padding': 1, 'dilation': 1, 'groups': 3}
    """

    def conv2d(x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, **groups: Any) -> Any:
        if stride[0] != stride[1] or dilation[0] != dilation[1] or len({*padding[0], *padding[1]}) > 1:
            raise NotImplementedError("one number for each option")
        return f(x, weight, bias, stride=stride[0], padding=padding[0][0], dilation=dilation[0], **groups)

    return conv2d
