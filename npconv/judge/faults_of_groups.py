"""Mistakes of groups: the wrong channels, the wrong filters, a shuffle too many or too few, a group left out."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.fault import Evidence, Family, Fault, Mistake, left_out, stored
from npconv.judge.reading import Array, Reading

GROUPS, SHUFFLE = "groups", "shuffle"


def _channels(change: Callable[[Geometry], Array]) -> Mistake:
    """Return the mistake of reading other channels: (O, C // groups) of them."""
    return lambda right: replace(right, channels=change(right.geometry))


def _of_group(change: Callable[[Array, int], Array]) -> Mistake:
    """Return the mistake of reading the channels of another group: `change` takes each filter's group and their number."""
    return _channels(lambda g: change(_group(g), g.groups)[:, None] * g.group_channels + np.arange(g.group_channels))


def _group(g: Geometry) -> Array:
    return np.arange(g.O) // g.group_filters


def _with_weights_of(change: Callable[[Geometry], Array]) -> Mistake:
    """Return the mistake of multiplying by other filters; the bias is right."""
    return lambda right: replace(right, weight=right.weight[change(right.geometry)])


def _of_filter(g: Geometry, group: Array) -> Array:
    return group * g.group_filters + np.arange(g.O) % g.group_filters


def _shuffled(count: int, groups: int) -> Array:
    """Return where each channel of a shuffle comes from: ``y[j*g + i] = x[i*(C//g) + j]``."""
    return np.arange(count).reshape(groups, -1).T.ravel()


def _unshuffled(count: int, groups: int) -> Array:
    return np.arange(count).reshape(-1, groups).T.ravel()


def _from(change: Callable[[Geometry], Array]) -> Mistake:
    """Return the mistake of reading images whose channels are in another order."""

    def mistake(right: Reading) -> Reading:
        return replace(right, channels=change(right.geometry)[right.channels])

    return mistake


def _to(change: Callable[[Geometry], Array]) -> Mistake:
    """Return the mistake of storing filters' outputs in another order."""
    return lambda right: stored(lambda y: y[:, change(right.geometry)])(right)


def _without(right: Reading, group: int) -> Reading | None:
    first = group * right.geometry.group_filters
    return left_out(lambda g: np.s_[:, first : first + g.group_filters])(right)


def _ends(right: Reading, evidence: Evidence | None) -> tuple[int, ...]:
    """Return the group of the wrong outputs; without any, the first and the last."""
    g = right.geometry
    if g.groups == 1:
        return ()
    if evidence is None:
        return tuple({0, g.groups - 1})
    return (int(np.unravel_index(evidence.outputs[0], g.y_shape)[1]) // g.group_filters,)


FAULTS = (
    Fault(
        "groups ignored",
        "Every filter reads the channels of the first group.",
        GROUPS,
        _of_group(lambda group, count: group * 0),
        lambda g: g.groups > 1,
    ),
    Fault(
        "groups off by one",
        "Filters read the channels of the next group.",
        GROUPS,
        _of_group(lambda group, count: (group + 1) % count),
    ),
    Fault(
        "groups off by one, backwards",
        "Filters read the channels of the group before theirs.",
        GROUPS,
        _of_group(lambda group, count: (group - 1) % count),
        lambda g: g.groups > 2,
    ),
    Fault(
        "groups reversed",
        "Filters of the first group read the channels of the last, and so on.",
        GROUPS,
        _of_group(lambda group, count: count - 1 - group),
        lambda g: g.groups > 2,
    ),
    Fault(
        "group borders off by one",
        "A group's last filter reads the channels of the next group.",
        GROUPS,
        _channels(
            lambda g: (
                (np.arange(1, g.O + 1) // g.group_filters % g.groups)[:, None] * g.group_channels
                + np.arange(g.group_channels)
            )
        ),
        lambda g: g.group_filters > 1,
    ),
    Fault(
        "channels one too far",
        "Every filter reads the channels that begin one after its first.",
        GROUPS,
        _from(lambda g: np.arange(1, g.C + 1) % g.C),
        lambda g: g.group_channels > 1,
    ),
    Fault(
        "filters interleaved",
        "Filter o is taken for one of group o mod groups, and reads that group's channels.",
        GROUPS,
        _channels(lambda g: (np.arange(g.O) % g.groups)[:, None] * g.group_channels + np.arange(g.group_channels)),
    ),
    Fault(
        "channels interleaved",
        "A group reads every so many channels, not a block of them: what a missing channel shuffle gives.",
        GROUPS,
        _from(lambda g: _unshuffled(g.C, g.groups)),
    ),
    Fault(
        "groups interleaved",
        "Channels and filters are dealt out to the groups one by one, not in blocks.",
        GROUPS,
        _channels(lambda g: (np.arange(g.O) % g.groups)[:, None] + np.arange(g.group_channels) * g.groups),
        lambda g: g.group_channels > 1 and g.group_filters > 1,
    ),
    Fault(
        "next group's weights",
        "Filters are those of the next group.",
        GROUPS,
        _with_weights_of(lambda g: _of_filter(g, (_group(g) + 1) % g.groups)),
    ),
    Fault(
        "last group's weights first",
        "The groups' filters are used in reverse order.",
        GROUPS,
        _with_weights_of(lambda g: _of_filter(g, g.groups - 1 - _group(g))),
        lambda g: g.groups > 2,
    ),
    Fault(
        "first group's weights for all",
        "Every group is multiplied by the filters of the first.",
        GROUPS,
        _with_weights_of(lambda g: _of_filter(g, 0 * _group(g))),
    ),
    Fault(
        "depth-multiplier order of weights",
        "Filters are read as if filter j of group i were stored at j*groups + i.",
        GROUPS,
        _with_weights_of(lambda g: _unshuffled(g.O, g.groups)),
    ),
    Fault(
        "outputs in depth-multiplier order",
        "Output j of group i is stored at j*groups + i: as a channel shuffle does it.",
        SHUFFLE,
        _to(lambda g: _shuffled(g.O, g.groups)),
    ),
    Fault(
        "outputs unshuffled",
        "A channel unshuffle was applied to the outputs.",
        SHUFFLE,
        _to(lambda g: _unshuffled(g.O, g.groups)),
    ),
    Fault(
        "channel shuffle inverse",
        "The input was unshuffled where it should have been shuffled.",
        SHUFFLE,
        _from(lambda g: _unshuffled(g.C, g.groups)[_unshuffled(g.C, g.groups)]),
    ),
    Fault(
        "input shuffled",
        "A channel shuffle was applied to the input once too often, or to groups and channels exchanged.",
        SHUFFLE,
        _from(lambda g: _shuffled(g.C, g.groups)),
    ),
)

FAMILIES = (Family("group {} not computed", "The outputs of group {} are left as they were.", GROUPS, _without, _ends),)
