"""The formulas that articles print, as they print them, and the corrected ones beside them."""

from npconv.conventions.convention import DENSE, MISTAKE, OPERATIONS, USEFUL, Convention
from npconv.conventions.facts import Facts

SOURCE = "articles and lecture notes; the page on counting rules takes them one by one"


def one_filter(depth: int, taps: int, bias: bool) -> int:
    """Return what one filter is said to cost at one position: each channel summed, the sums never added up.

    The additions across channels, ``depth - 1`` of them, are missing.

    >>> one_filter(512, 9, False), 2 * 512 * 9 - 1
    (8704, 9215)
    """
    return depth * (2 * taps - 1) + bias


def one_filter_corrected(depth: int, taps: int, bias: bool) -> int:
    """Return what one filter costs at one position: `depth*taps` products and one addition less, or as many with a bias.

    >>> one_filter_corrected(512, 9, False)
    9215
    """
    return 2 * depth * taps - 1 + bias


def ordinary(f: Facts) -> int:
    """Multiply the cost of one filter by the outputs; as printed it is of ordinary layers, `groups` = 1."""
    return f.outputs * one_filter(f.C, f.taps, f.bias)


def grouped(f: Facts) -> int:
    """Multiply by C/g once more, over a cost of one filter that holds all C channels already."""
    return f.C // f.groups * f.outputs * one_filter(f.C, f.taps, f.bias)


def grouped_by_depth(f: Facts) -> int:
    """Multiply by C/g once more, over a cost of one filter that holds those of its group: right for depthwise layers."""
    return f.C // f.groups * f.outputs * one_filter(f.C // f.groups, f.taps, f.bias)


ARTICLE = (
    Convention(
        "article",
        "FLOPs",
        MISTAKE,
        ordinary,
        SOURCE,
        ("the C - 1 additions across channels are missing", "of ordinary layers alone: groups do not occur in it"),
    ),
    Convention(
        "article-grouped",
        "FLOPs",
        MISTAKE,
        grouped,
        SOURCE,
        ("the C - 1 additions across channels are missing", "channels are multiplied twice, C/g times C"),
    ),
    Convention(
        "article-grouped-depth",
        "FLOPs",
        MISTAKE,
        grouped_by_depth,
        SOURCE,
        ("the additions across channels are missing", "the depth of a filter, C/g, is multiplied twice"),
    ),
    Convention(
        "operations",
        "operations",
        OPERATIONS,
        lambda f: f.dense + f.dense_add,
        "the corrected formula: 2*(C/g)*KH*KW - 1 for each output, or one more with a bias",
    ),
    Convention("dense", "products", DENSE, lambda f: f.dense, "the page on counting rules"),
    Convention("useful", "products", USEFUL, lambda f: f.useful, "the page on counting rules"),
)
