"""Plans and functions at their edges: what they refuse, and what they say of themselves."""

from typing import Any

import numpy as np
import pytest

import npconv as nc
from npconv.geometry import conv2d_geometry
from npconv.kernels.targets import target
from npconv.plan import Conv2dPlan


def ones(*shape: int, dtype: str = "float32") -> Any:
    return np.ones(shape, dtype)


def test_a_plan_refuses_other_shapes_and_types() -> None:
    plan = nc.plan_conv2d((1, 2, 5, 5), ones(3, 2, 3, 3))
    with pytest.raises(ValueError, match=r"x has shape \(1, 2, 6, 5\), but the plan was made for \(1, 2, 5, 5\)"):
        plan(ones(1, 2, 6, 5))
    with pytest.raises(TypeError, match="x is float64, but the plan computes in float32"):
        plan(ones(1, 2, 5, 5, dtype="float64"))
    assert plan(ones(1, 2, 5, 5, dtype="float16")).dtype == np.float32


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("first", [0, 1, 15, 16])
def test_a_plan_refuses_a_result_that_lies_in_its_input(first: int, num_threads: int) -> None:
    plan = nc.plan_conv2d((1, 1, 4, 4), ones(1, 1, 1, 1), num_threads=num_threads)
    room = np.arange(32, dtype=np.float32)
    x, out = room[:16].reshape(1, 1, 4, 4), room[first : first + 16].reshape(1, 1, 4, 4)
    if first == 16:
        assert plan(x, out) is out
        assert out.tolist() == x.tolist()
    else:
        with pytest.raises(ValueError, match=r"plan: out of shape \(1, 1, 4, 4\) overlaps an input"):
            plan(x, out)
        assert room.tolist() == list(range(32))


def test_a_plan_says_what_it_is() -> None:
    plan = nc.plan_conv2d((1, 2, 5, 5), ones(3, 2, 3, 3), method="direct", num_threads=1)
    assert repr(plan) == "<Conv2dPlan (1, 2, 5, 5) -> (1, 3, 3, 3), float32, direct, 1 thread(s)>"


def test_a_plan_says_where_channels_are_shuffled() -> None:
    in_passing = nc.plan_conv2d((1, 8, 5, 5), ones(12, 2, 3, 3), groups=4, shuffle_groups=2)
    assert "shuffle    channels in 2 groups, on the way to memory" in str(in_passing)
    assert "afterwards" in str(nc.plan_conv2d((1, 8, 5, 5), ones(12, 2, 3, 3), groups=4, shuffle_groups=3))
    assert "shuffle" not in str(nc.plan_conv2d((1, 8, 5, 5), ones(12, 2, 3, 3), groups=4))


@pytest.mark.parametrize("bad", [5, 24])
def test_filters_are_shuffled_in_a_divisor_of_their_number(bad: int) -> None:
    for call in (nc.conv2d, nc.plan_conv2d):
        first = ones(1, 8, 5, 5) if call is nc.conv2d else (1, 8, 5, 5)
        with pytest.raises(ValueError, match=rf"weight has 12 filters, which {bad} shuffle_groups do not divide"):
            call(first, ones(12, 8, 3, 3), shuffle_groups=bad)
        with pytest.raises(TypeError, match="shuffle_groups is True"):
            call(first, ones(12, 8, 3, 3), shuffle_groups=True)


def test_pointwise_weights_are_1x1() -> None:
    with pytest.raises(ValueError, match=r"weight has a 3x1 kernel, but a pointwise one is 1x1\. Did you mean conv2d"):
        nc.pointwise_conv2d(ones(1, 2, 5, 5), ones(3, 2, 3, 1))
    with pytest.raises(ValueError, match="pointwise_weight has a 1x2 kernel, but a pointwise one is 1x1"):
        nc.separable_conv2d(ones(1, 2, 5, 5), ones(2, 1, 3, 3), ones(3, 2, 1, 2))


@pytest.mark.parametrize(
    ("method", "tile", "said"),
    [
        ("filterwise", (6, 2, 3), "6 rows x 2 vectors x 16 lanes, the last one 3 rows"),
        ("filterwise", (3, 2, 3), "3 rows x 2 vectors x 16 lanes\n"),
        ("depthwise", (6, 1, 3), "6 rows x 1 vectors x 16 lanes, the last one 3 rows"),
        ("direct", (4, 2, 1), "4 rows x 2 vectors x 16 lanes, the last of a band 1 vector(s) wide"),
    ],
)
def test_a_plan_says_which_tile_is_the_last(method: str, tile: tuple[int, ...], said: str) -> None:
    geometry = conv2d_geometry((1, 4, 5, 5), (4, 1, 3, 3), groups=4)
    f32 = np.dtype(np.float32)
    plan = Conv2dPlan(geometry, ones(4, 1, 3, 3), None, (f32, f32), method, 1, tile=tile)
    assert said.replace("16", str(target().lanes(4))) in str(plan)


def test_a_filter_of_millions_of_taps_has_no_table_and_exact_counts() -> None:
    K = 2**24 + 2
    x, weight = ones(1, 1, 1, K + 1), ones(1, 1, 1, K)
    for method in ("im2col", "direct", "filterwise", "depthwise"):
        with pytest.raises(ValueError, match=r"writes down .* allows itself .* Use method='naive'"):
            nc.plan_conv2d(x.shape, weight, method=method)
    y, counts = nc.conv2d(x, weight, return_counts=True)
    assert y.shape == (1, 1, 1, 2)
    # Beyond 2**24 float32 no longer counts by ones.
    assert counts == nc.count_conv2d(x.shape, weight.shape)
    assert counts.mul == 2 * K


def test_direct_refuses_planes_that_are_mostly_padding() -> None:
    x, weight = ones(1, 1, 5, 50), ones(1, 1, 3, 3)
    options: dict[str, Any] = {"padding": 2**60, "dilation": 2**60}
    with pytest.raises(ValueError, match=r"would copy the padded planes of a group, \d+ bytes, .* Use method='im2col'"):
        nc.conv2d(x, weight, method="direct", **options)
    assert nc.conv2d(x, weight, **options).tobytes() == x.tobytes()


def test_depthwise_refuses_windows_that_no_register_file_holds_and_planes_that_no_cache_does() -> None:
    x, weight = ones(1, 1, 70, 1), ones(1, 1, 64, 1)
    assert nc.depthwise_conv2d(x, weight, method="depthwise").ravel().tolist() == [64.0] * 7
    with pytest.raises(ValueError, match=r"keeps 64 rows of accumulators .* Use method='direct'"):
        nc.plan_conv2d((1, 1, 64, 2**19), weight, method="depthwise")
