"""The form of an array, as compiled code reads it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import npconv as nc
from npconv.kernels import comparing, forms
from npconv.kernels.compile import from_python
from npconv.kernels.entry import Entry, hand_over
from npconv.kernels.forms import allows, c_form, fields_are_known, form, has_form
from npconv.kernels.shuffle import shuffle
from npconv.workspace import Workspace
from processes import JIT

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
F32 = np.dtype(np.float32)


def test_a_form_is_an_array_that_takes_no_memory() -> None:
    like = form((2**20, 3, 2**20), (8, 0, -4), F32)
    assert (like.shape, like.strides, like.dtype) == ((2**20, 3, 2**20), (8, 0, -4), F32)
    assert c_form((2, 3, 4), F32).strides == np.empty((2, 3, 4), F32).strides
    assert c_form((2, 3, 4), F32).flags.carray


def test_an_axis_of_one_has_any_stride() -> None:
    x = np.zeros((3, 4, 5), F32)
    for array in (x[None], x.reshape(1, 3, 4, 5), x[1:2][None].transpose(1, 0, 2, 3)):
        assert has_form(array, c_form(array.shape, F32))
    assert not has_form(x[:, ::2], c_form((3, 2, 5), F32))


def test_what_is_not_aligned_or_not_writable_is_not_allowed_where_it_has_to_be() -> None:
    like = c_form((3,), F32)
    bytes_of_four = np.zeros(16, np.uint8)
    array = bytes_of_four[1:13].view(F32)
    assert not allows(array, like)
    array = bytes_of_four[4:].view(F32)
    assert allows(array, like)
    array.flags.writeable = False
    assert not allows(array, like)
    like.flags.writeable = False
    assert allows(array, like)


def test_fields_lie_where_they_are_looked_for() -> None:
    assert fields_are_known()


@pytest.mark.parametrize("field", ["TYPE", "DATA", "AXES", "EXTENTS", "STRIDES", "ELEMENTS", "FLAGS"])
def test_fields_that_lie_elsewhere_are_not_read(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The memory of an array is not zero there, and no flags are.
    monkeypatch.setattr(forms, field, {"EXTENTS": forms.STRIDES, "STRIDES": forms.EXTENTS}.get(field, 0))
    known: Any = fields_are_known
    assert not known.__wrapped__()


def test_where_fields_are_not_known_python_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("npconv.kernels.comparing", "npconv.plan"):
        monkeypatch.setattr(f"{room}.fields_are_known", lambda: False)
    uncached: Any = comparing.comparison
    assert uncached.__wrapped__(1, 0) is comparing.alike
    x, weight = np.ones((1, 2, 5, 5), F32), np.ones((3, 2, 3, 3), F32)
    plan = nc.plan_conv2d(x.shape, weight)
    for _ in range(2):
        assert np.array_equal(plan(x, np.empty(plan.y_shape, F32)), np.full(plan.y_shape, 18))
    assert plan._straight is None


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_where_fields_are_not_known_compiled_code_reads_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("npconv.kernels.compile.cache_folder", lambda: tmp_path)
    monkeypatch.setattr("npconv.kernels.entry.fields_are_known", lambda: False)

    @from_python
    def enter_anew(arguments: Any) -> None:
        hand_over(arguments)  # type: ignore[no-untyped-call]

    monkeypatch.setattr("npconv.kernels.entry.enter", enter_anew)
    # Two groups of two planes of six elements, all of them one piece of work.
    entry = Entry.of(shuffle, ((1, 2, 2, 6, 1, 2),), np.dtype(np.uint32), reads=1)
    x = np.arange(24, dtype=np.uint32).reshape(1, 4, 2, 3)
    y = np.zeros_like(x)
    workspace = Workspace.of(1)
    workspace.run(entry, (x, y))
    assert np.array_equal(y, x[:, [0, 2, 1, 3]])
    with pytest.raises(TypeError, match="other arrays"):
        entry.enter((entry.job, workspace.alone, (x, y), (x.copy(), y)))


FORMS: dict[str, Callable[[Array], Any]] = {
    "new axis": lambda image: image[None],
    "reversed": lambda image: image[None, :, ::-1],
    "list": lambda image: [image],
    "half": lambda image: image[None].astype(np.float16),
    "columns first": lambda image: np.asfortranarray(image)[None],
    "read-only": lambda image: np.broadcast_to(image, (1, *image.shape)),
}


def check_forms(plan: nc.Conv2dPlan, image: Array, weight: Array, take: Callable[[Array], Any]) -> None:
    """Demand of a plan that it takes an image in some form, also once it knows the way straight to the kernel."""
    given = take(image)
    expected = nc.plan_conv2d((1, *image.shape), weight.astype(np.float64))(np.asarray(given, np.float64))
    for _ in range(2):
        assert np.array_equal(plan(given, np.empty(plan.y_shape, F32)), expected)
        assert (plan._straight is not None) == (plan.num_threads == 1)
    assert np.array_equal(plan(given), expected)


@pytest.mark.kernels
@pytest.mark.parametrize("take", FORMS.values(), ids=FORMS)
def test_a_plan_takes_x_of_any_form(take: Callable[[Array], Any]) -> None:
    image, weight = np.arange(24, dtype=F32).reshape(2, 3, 4), np.arange(24, dtype=F32).reshape(3, 2, 2, 2)
    check_forms(nc.plan_conv2d((1, 2, 3, 4), weight), image, weight, take)


@pytest.mark.parametrize("take", FORMS.values(), ids=FORMS)
def test_threads_take_x_of_any_form(take: Callable[[Array], Any]) -> None:
    image = np.arange(2.0 * 30 * 300, dtype=F32).reshape(2, 30, 300) % 17
    weight = np.arange(96 * 2 * 9.0, dtype=F32).reshape(96, 2, 3, 3) % 5
    plan = nc.plan_conv2d((1, 2, 30, 300), weight, num_threads=2)
    assert plan.num_threads == 2
    check_forms(plan, image, weight, take)


@pytest.fixture
def straight() -> nc.Conv2dPlan:
    """Return a plan of a 2x2 sum of pixels, which knows the way straight to its kernel and has one workspace."""
    plan = nc.plan_conv2d((1, 1, 3, 4), np.ones((1, 1, 2, 2), F32), num_threads=1)
    plan(np.zeros((1, 1, 3, 4), F32))
    assert plan._straight is not None
    return plan


REFUSED: dict[str, tuple[Callable[[Array], Any], Callable[[Array], Any], str]] = {
    "another shape": (lambda x: x[:, :, :2].copy(), lambda y: y, "x has shape"),
    "another type": (lambda x: x.astype(np.float64), lambda y: y, "x is float64"),
    "shape of out": (lambda x: x, lambda y: y[:, :, :1].copy(), "out has shape"),
    "type of out": (lambda x: x, lambda y: y.astype(np.int32), "out has dtype"),
    "strides of out": (lambda x: x, lambda y: y[..., ::-1], "out has strides"),
    "read-only out": (lambda x: x, lambda y: np.broadcast_to(y, y.shape), "out is read-only"),
    "out no array": (lambda x: x, lambda y: y.tolist(), "out must be"),
    "out in x": (lambda x: x, lambda y: np.asarray(y.base)[:6].reshape(1, 1, 2, 3), "overlaps"),
}


@pytest.mark.kernels
@pytest.mark.parametrize(("of_x", "of_y", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_on_the_way_is_named(
    of_x: Callable[[Array], Any], of_y: Callable[[Array], Any], text: str, straight: nc.Conv2dPlan
) -> None:
    memory = np.arange(18, dtype=F32)
    x, y = memory[:12].reshape(1, 1, 3, 4), memory[12:].reshape(1, 1, 2, 3)
    before = memory.copy()
    workspaces = [*straight._workspaces.unused]
    with pytest.raises((TypeError, ValueError), match=text):
        straight(of_x(x), of_y(y))
    assert np.array_equal(memory, before)
    # None is lost by the way.
    assert [*map(id, straight._workspaces.unused)] == [*map(id, workspaces)]
    assert straight(x, y) is y
    assert y.ravel().tolist() == [10, 14, 18, 26, 30, 34]


@pytest.mark.kernels
def test_the_way_straight_is_counted_where_somebody_counts(straight: nc.Conv2dPlan) -> None:
    x, y = np.ones((1, 1, 3, 4), F32), np.empty((1, 1, 2, 3), F32)
    with nc.counting() as calls:
        assert straight(x, y) is y
    assert calls.total == straight.counts
    assert straight(x, y, return_counts=True)[1] == straight.counts


def test_many_threads_go_straight_at_once(straight: nc.Conv2dPlan) -> None:
    def convolve(number: int) -> bool:
        x, y = np.full((1, 1, 3, 4), number, F32), np.empty((1, 1, 2, 3), F32)
        return all((straight(x, y) == 4 * number).all() for _ in range(500))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(convolve, range(8)))
