"""Functional calls that use a plan again: never one whose weights, bias or options were others."""

from typing import Any

import numpy as np
import pytest

import npconv as nc
from npconv import recent
from npconv.kernels.comparing import comparison

X = np.arange(1.0, 37.0, dtype=np.float32).reshape(1, 4, 3, 3)


def plans_of(*calls: Any) -> list[Any]:
    """Return the plans that are found for calls, before each of which nothing but the calls before was made."""
    found: list[Any] = []
    at_hand, find, kept = recent.plan_at_hand, recent.find_plan, recent._calls.copy()
    recent._forget()

    def look_and_note(*given: Any) -> Any:
        found.append(at_hand(*given))
        return found[-1]

    def find_and_note(*given: Any) -> Any:
        key, found[-1] = find(*given)
        return key, found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npconv.functional.plan_at_hand", look_and_note)
        patch.setattr("npconv.functional.find_plan", find_and_note)
        for call in calls:
            call()
    recent._forget()
    recent._calls.update(kept)
    return found


@pytest.mark.kernels
def test_a_call_is_compared_with_the_one_that_was_kept() -> None:
    x, weight = np.zeros((2, 3)), np.arange(24.0).reshape(2, 3, 4)
    same = comparison(3, 2)
    kept, sizes = (x.copy(), weight.copy(), None), np.array([0, weight.nbytes, 0])
    options = "same", 1000

    def is_same(*given: Any, of: Any = options) -> bool:
        return same((given, kept, sizes, of, options))

    assert is_same(x, weight, None)
    # Of what is compared by its form alone the numbers do not matter.
    x[0, 0] = 1
    assert is_same(x, weight, None)
    others: list[Any] = [
        x.T,
        x[:, :2],
        x[:, :, None],
        x.reshape(3, 2),
        x.view(np.int64),
        x.view(np.matrix),
        x.tolist(),
        None,
        1,
    ]
    assert not any(is_same(other, weight, None) for other in others)
    assert not is_same(x, weight, x)
    assert not is_same(x, weight)
    assert not is_same(x, weight, None, of=("same", int("1000")))
    assert not is_same(x, weight, None, of=options[:1])
    weight[1, 2, 3] = np.nan
    assert not is_same(x, weight, None)
    kept[1][1, 2, 3] = np.nan
    assert is_same(x, weight, None)
    weight[0, 0, 0] = -0.0
    assert not is_same(x, weight, None)


def test_the_third_call_uses_the_plan_of_the_second() -> None:
    weight, bias = np.ones((2, 4, 3, 3), np.float32), np.ones(2, np.float32)

    def call() -> Any:
        return nc.conv2d(X, weight, bias, padding=1)

    first, second, third, fourth = plans_of(call, call, call, call)
    assert first is second is None
    assert third is fourth is not None
    expected = nc.plan_conv2d(X.shape, weight, bias, padding=1)(X)
    assert all(np.array_equal(call(), expected) for _ in range(4))


@pytest.mark.parametrize("changed", ["weight", "bias"])
def test_a_change_in_place_is_seen_down_to_the_sign_of_a_zero(changed: str) -> None:
    weight, bias = np.zeros((2, 4, 1, 1), np.float32), np.zeros(2, np.float32)
    target = {"weight": weight, "bias": bias}[changed]

    def call() -> Any:
        assert np.array_equal(nc.conv2d(X, weight, bias), nc.plan_conv2d(X.shape, weight, bias)(X), equal_nan=True)

    def change(number: float) -> Any:
        def then_call() -> None:
            target[-1] = number
            call()

        return then_call

    numbers = (-0.0, np.nan, 5.0)
    found = plans_of(call, call, call, *(step for number in numbers for step in (change(number), call, call)))
    assert [plan is not None for plan in found] == [False, False, True] * (1 + len(numbers))


def test_options_that_are_equal_but_not_alike_are_checked() -> None:
    weight = np.ones((2, 4, 1, 1), np.float32)
    for _ in range(3):
        nc.conv2d(X, weight, stride=1, groups=1)
    wrong: Any
    for wrong in (True, 1.0, (1, True), "1"):
        with pytest.raises(TypeError, match="stride"):
            nc.conv2d(X, weight, stride=wrong)
    with pytest.raises(TypeError, match="groups"):
        nc.conv2d(X, weight, groups=True)


def test_options_in_lists_and_in_tuples_made_anew_are_recognised() -> None:
    weight = np.ones((2, 4, 1, 1), np.float32)
    stride = [1, 1]
    found = plans_of(*[lambda: nc.conv2d(X, weight, stride=stride)] * 4)
    assert [plan is not None for plan in found] == [False, False, True, True]
    expected = nc.conv2d(X, weight, stride=(2, 1))
    stride[0] = 2
    assert np.array_equal(nc.conv2d(X, weight, stride=stride), expected)
    found = plans_of(*[lambda: nc.conv2d(X, weight, stride=tuple(stride))] * 4)
    assert [plan is not None for plan in found] == [False, False, True, True]


def test_an_array_that_takes_another_form_or_place_is_not_what_it_was() -> None:
    weight = np.arange(32.0, dtype=np.float32).reshape(2, 4, 2, 2)

    def call(weight: Any) -> Any:
        def compared() -> None:
            assert np.array_equal(nc.conv2d(X, weight), nc.plan_conv2d(X.shape, weight)(X))

        return compared

    def turn() -> None:
        weight.shape = (2, 4, 4, 1)
        weight.shape = (2, 4, 1, 4)
        weight.shape = (8, 4, 1, 1)
        call(weight)()

    copy = weight.copy()
    found = plans_of(*[call(weight)] * 3, *[call(copy)] * 3, call(weight), turn)
    assert [plan is not None for plan in found] == [False, False, True] * 2 + [True, False]


def test_other_shapes_types_and_threads_have_other_plans() -> None:
    weight = np.ones(16, np.float32)
    views = [weight.reshape(2, 4, 1, 2), weight.reshape(2, 4, 2, 1), weight.view(np.int32).reshape(4, 4, 1, 1)]
    xs = [X, X, X.astype(np.int32)]
    plans = plans_of(
        *[lambda x=x, view=view: nc.conv2d(x, view) for x, view in zip(xs, views, strict=True) for _ in range(3)]
    )
    assert len({id(plan) for plan in plans if plan is not None}) == 3
    before = nc.get_num_threads()
    try:
        for threads in (1, 2):
            nc.set_num_threads(threads)
            assert plans_of(*[lambda: nc.conv2d(X, views[0])] * 3)[-1].num_threads == 1
    finally:
        nc.set_num_threads(before)


def test_large_and_scattered_weights_are_packed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.ones((4, 4, 1, 1), np.float32)
    assert plans_of(*[lambda: nc.conv2d(X, weight[::2])] * 3) == [None] * 3
    monkeypatch.setattr(recent, "MOST_BYTES", weight.nbytes - 1)
    assert plans_of(*[lambda: nc.conv2d(X, weight)] * 3) == [None] * 3


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 4, 7, 7), {"padding": 1}),
        ((1, 8, 7, 7), {"groups": 2, "shuffle_groups": 2}),
        ((1, 4, 3, 60), {"stride": 2}),
        ((2, 4, 7, 7), {}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_many_weights_are_packed_at_every_call(
    shape: tuple[int, int, int, int], options: dict[str, Any], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "WORTH_PACKING", 1)
    rng = np.random.default_rng(3)
    x = rng.integers(-9, 9, shape).astype(dtype)
    weights = [rng.integers(-9, 9, (2, 40, 4, 3, 3)).astype(dtype)[i] for i in range(2)]
    weights.append(np.asfortranarray(weights[0]))
    bias = rng.integers(-9, 9, 40).astype(dtype)

    def call(weight: Any) -> Any:
        def of_both() -> None:
            y, counts = nc.conv2d(x, weight, bias, method="filterwise", return_counts=True, **options)
            plan = nc.plan_conv2d(shape, weight, bias, method="filterwise", **options)
            assert np.array_equal(y, plan(x))
            assert counts == plan.counts

        return of_both

    def change() -> None:
        weights[0][-1] += 1
        call(weights[0])()

    def change_bias() -> None:
        bias[0] -= 1
        call(weights[0])()

    first, second = map(call, weights[:2])
    found = plans_of(first, first, second, change, change_bias, first, call(weights[2]))
    # Where a kernel meets its weights once, one plan serves all that lie in memory alike, while the bias is what it was.
    once = shape[0] == 1
    assert [plan is not None for plan in found] == [False, once, once, once, False, True, False]
    # What is compared has to lie in one piece.
    bias = np.repeat(bias, 2)[::2]
    assert plans_of(*[call(weights[0])] * 3) == [None] * 3


def test_a_separable_call_packs_many_pointwise_weights_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "WORTH_PACKING", 1)
    monkeypatch.setattr("npconv.separable.choose_pass", lambda *_: None)
    draw = np.random.default_rng(4)
    x, depthwise, pointwise = (draw.integers(-9, 9, shape) * 1.0 for shape in ((1, 64, 7, 7), (64, 1, 3, 3), (64, 64)))

    def call() -> None:
        last = nc.plan_conv2d(x.shape, pointwise[:, :, None, None])
        first = nc.plan_conv2d(x.shape, depthwise, padding=1, groups=64)
        y, counts = nc.separable_conv2d(x, depthwise, pointwise, padding=1, return_counts=True)
        assert np.array_equal(y, last(first(x)))
        assert counts == first.counts + last.counts

    def change(target: Any) -> Any:
        def then_call() -> None:
            target[-1] += 1
            call()

        return then_call

    found = plans_of(call, call, change(pointwise), change(depthwise), call)
    assert [plan is not None for plan in found] == [False, True, True, False, True]
    assert not found[-1].keeps


def test_weights_that_a_kernel_cannot_pack_are_kept_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "WORTH_PACKING", 1)
    weight = np.ones((2, 4, 3, 3), np.float32)
    found = plans_of(*[lambda: nc.conv2d(X, weight, method="direct")] * 3)
    assert [plan is not None for plan in found] == [False, False, True]
    assert found[-1].keeps


def test_calls_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST_CALLS", 2)
    weights = [np.ones((2, 4, 1, 1), np.float32) for _ in range(3)]
    calls: list[Any] = [lambda weight=weight: nc.conv2d(X, weight) for weight in weights]
    found = plans_of(*[call for call in calls for _ in range(3)], *calls)
    assert [plan is not None for plan in found] == [False, False, True] * 3 + [False, False, False]
    monkeypatch.setattr(recent, "MOST_CALLS", 9)
    monkeypatch.setattr(recent, "MOST_BYTES_OF_ALL", 5 * weights[0].nbytes)
    found = plans_of(*[call for call in calls for _ in range(3)], *reversed(calls))
    assert [plan is not None for plan in found] == [False, False, True] * 3 + [True, True, False]


def test_views_made_anew_for_every_call_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST_CALLS", 3)
    weight = np.ones((2, 4, 1, 1), np.float32)
    views = [weight[:] for _ in range(9)]
    hints = []

    def call(view: Any) -> Any:
        def and_count() -> None:
            nc.conv2d(X, view)
            hints.append(len(recent._hints))

        return and_count

    found = plans_of(*map(call, views))
    assert [plan is not None for plan in found] == [False, False] + [True] * 7
    assert hints == [0, 0, 1, 2, 3, 1, 2, 3, 1]


def test_a_call_that_is_given_the_same_arrays_is_recognised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bias = np.ones((2, 4, 2, 2), np.float32), np.ones(2, np.float32)
    calls: list[Any] = [
        lambda: nc.conv2d(X, weight, bias, padding=1),
        lambda: nc.depthwise_conv2d(X, weight.reshape(8, 1, 2, 2)),
        lambda: nc.separable_conv2d(X, np.ones((4, 1, 2, 2), np.float32), weight.reshape(8, 4)[:, :, None, None]),
    ]
    expected = [[call() for _ in range(3)][-1] for call in calls]
    other = nc.plan_conv2d(X.shape, weight, padding=1)(X)
    calls[0]()

    def refuse(*_: Any) -> Any:
        raise LookupError

    monkeypatch.setattr("npconv.functional.find_plan", refuse)
    assert np.array_equal(calls[0](), expected[0])
    # Views that were made anew, and whatever differs, are looked for elsewhere.
    different: list[Any] = [
        *calls[1:],
        lambda: nc.conv2d(X, weight, padding=1),
        lambda: nc.conv2d(X, weight, bias),
        lambda: nc.conv2d(X, weight, bias, padding=(1, 1)),
        lambda: nc.conv2d(X.astype(np.float64), weight, bias, padding=1),
        lambda: nc.conv2d(X[:, ::-1], weight, bias, padding=1),
        lambda: nc.conv2d(X.tolist(), weight, bias, padding=1),
    ]
    for call in different:
        with pytest.raises(LookupError):
            call()
    bias[:] = 0
    with pytest.raises(LookupError):
        calls[0]()
    monkeypatch.undo()
    assert np.array_equal(calls[0](), other)


def test_a_forked_child_remembers_nothing() -> None:
    kept = recent._calls.copy()
    lock = recent._lock
    recent._forget()
    assert not recent._calls
    assert not recent._hints
    assert recent._lock is not lock
    recent._calls.update(kept)
