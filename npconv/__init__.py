"""Convolution from scratch on NumPy and Numba: grouped, depthwise, pointwise and separable, every operation counted."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from npconv import judge, networks, plot, reference
    from npconv.conventions import convert
    from npconv.counts import OpCount, count_conv2d, counting
    from npconv.explanation import explain_number
    from npconv.functional import conv2d, depthwise_conv2d, pointwise_conv2d, separable_conv2d
    from npconv.geometry import conv2d_output_shape, resolve_padding
    from npconv.judge.check import check
    from npconv.judge.runner import check_function
    from npconv.machine import show_versions, warmup
    from npconv.plan import Conv2dPlan, plan_conv2d
    from npconv.rearrange import channel_shuffle, channel_unshuffle, col2im, im2col
    from npconv.receptive import receptive_field
    from npconv.threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

# Where each public name lives; nothing is imported before it is asked for.
_HOMES = {
    "conventions": ("convert",),
    "counts": ("OpCount", "count_conv2d", "counting"),
    "explanation": ("explain_number",),
    "functional": ("conv2d", "depthwise_conv2d", "pointwise_conv2d", "separable_conv2d"),
    "geometry": ("conv2d_output_shape", "resolve_padding"),
    "judge.check": ("check",),
    "judge.runner": ("check_function",),
    "machine": ("show_versions", "warmup"),
    "plan": ("Conv2dPlan", "plan_conv2d"),
    "receptive": ("receptive_field",),
    "rearrange": ("channel_shuffle", "channel_unshuffle", "col2im", "im2col"),
    "threads": ("get_num_threads", "set_num_threads"),
}
# Rooms that are public as a whole.
_ROOMS = ("judge", "networks", "plot", "reference")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Conv2dPlan",
    "OpCount",
    "channel_shuffle",
    "channel_unshuffle",
    "check",
    "check_function",
    "col2im",
    "conv2d",
    "conv2d_output_shape",
    "convert",
    "count_conv2d",
    "counting",
    "depthwise_conv2d",
    "explain_number",
    "get_num_threads",
    "im2col",
    "judge",
    "networks",
    "plan_conv2d",
    "plot",
    "pointwise_conv2d",
    "receptive_field",
    "reference",
    "resolve_padding",
    "separable_conv2d",
    "set_num_threads",
    "show_versions",
    "warmup",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"npconv.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'npconv' has no attribute {name!r}")
    value = getattr(import_module(f"npconv.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
