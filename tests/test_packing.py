"""Weights in the order in which kernels read them: turned through registers, or moved by NumPy, they are the same."""

from typing import Any

import numpy as np
import pytest

from npconv.kernels.packing import pack_filters
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.layouts import layout
from npconv.layouts.layout import in_blocks

# Groups, filters of a group, taps, rows of a block: whole squares and parts of them, filters to spare.
SHAPES = [(1, 16, 16, 16), (2, 5, 9, 3), (1, 40, 33, 32), (3, 1, 1, 1), (1, 30, 17, 14), (2, 24, 4, 24)]


def by_hand(weight: Any, rows: int) -> Any:
    """Return [group][block][k][filter of the block], one number after the other."""
    groups, F, K = weight.shape
    packed = np.zeros((groups, -(-F // rows), K, rows), weight.dtype)
    for g, f, k in np.ndindex(groups, F, K):
        packed[g, f // rows, k, f % rows] = weight[g, f, k]
    return packed.reshape(-1)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_registers_turn_filters_into_columns(shape: tuple[int, int, int, int], dtype: str) -> None:
    groups, F, K, rows = shape
    weight = np.arange(1, groups * F * K + 1).astype(dtype).reshape(groups, F, K)
    expected = by_hand(weight, rows)
    lanes = target().lanes(weight.itemsize)
    packed = np.full(expected.size, -1, dtype)
    pack_filters(RegisterTile(lanes, 1, lanes), (groups, -(-F // rows), rows, F, K), weight.reshape(-1), packed)
    assert packed.tolist() == expected.tolist()


@pytest.mark.kernels
@pytest.mark.parametrize("least", [1, 2**20])
def test_large_weights_and_small_ones_are_packed_alike(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "WORTH_TURNING", least)
    weight = np.arange(1.0, 2 * 6 * 9 + 1).reshape(12, 1, 3, 3)[:, :, ::-1]
    pack, pack_bias = in_blocks(2, 4)
    assert pack(weight).tolist() == by_hand(weight.reshape(2, 6, 9), 4).tolist()
    assert pack_bias(np.arange(12.0)).tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 6, 7, 8, 9, 10, 11, 0, 0]
    assert pack_bias(np.empty(0)).size == 0
