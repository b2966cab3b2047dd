"""Verdicts and models: what is said of outputs that were made for the purpose."""

from typing import Any

import numpy as np
import pytest

from cases import Array
from npconv.judge import MODELS, Model, Verdict
from npconv.judge.call import checked_call
from npconv.judge.model import model_of
from npconv.judge.oracle import expected
from npconv.judge.verdict import Judgement, judge


def verdict_on(shift: Array, x: Array, weight: Array, model: Model) -> Judgement:
    """Return the verdict on outputs that are off by so many bounds."""
    call = checked_call(x, weight)
    allowed = expected(call, model)
    return judge(allowed.y + shift * allowed.bound, allowed, model)


def dense(K: int, outputs: int = 4) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    return rng.uniform(1, 2, (1, K, 1, outputs)), rng.uniform(1, 2, (1, K, 1, 1))


def test_every_verdict() -> None:
    x, weight = dense(100)
    model = MODELS["float32"]
    assert verdict_on(np.array([0.5, -0.3, 0.0, 0.1]), x, weight, model).verdict is Verdict.WITHIN_BOUND
    # Of 100 terms, errors rarely exceed 6*sqrt(100) roundings.
    suspicious = verdict_on(np.array([0.5, -0.9, 0.0, 0.1]), x, weight, model)
    assert suspicious.verdict is Verdict.SUSPECT
    assert suspicious.reason == "1 of 4 errors are unusually large, but within the bound"
    wrong = verdict_on(np.array([0.5, -1.1, 0.0, 2.0]), x, weight, model)
    assert wrong.verdict is Verdict.WRONG
    assert wrong.wrong.ravel().tolist() == [False, True, False, True]
    np.testing.assert_allclose(wrong.excess.ravel(), [0.5, 1.1, 0, 2], rtol=1e-6)
    assert verdict_on(np.zeros(4), x.round(), weight.round(), model).verdict is Verdict.EXACT
    assert verdict_on(np.zeros(4), x[:0], weight, model).verdict is Verdict.INCONCLUSIVE


def test_a_bound_wider_than_the_values_proves_nothing() -> None:
    x, weight = dense(300)
    weight[:, ::2] *= -1
    judgement = verdict_on(np.zeros(4), x, weight, MODELS["bfloat16"])
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "zeros would have passed" in judgement.reason


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_may_have_overflowed_proves_nothing(value: float) -> None:
    x, weight = dense(100)
    call, model = checked_call(x * 1e2, weight * 1e2), Model("float16")
    allowed = expected(call, model)
    assert allowed.overflows.all()
    judgement = judge(np.full(allowed.y.shape, value), allowed, model)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.reason == "4 of 4 sums may have overflowed"
    assert judge(np.full(allowed.y.shape, -1e9), allowed, model).verdict is Verdict.WRONG


def test_infinities_and_nan_have_their_places() -> None:
    model = MODELS["float64"]
    call = checked_call(np.array([[[[1.0, np.inf, np.nan, -np.inf]]]]), np.ones((1, 1, 1, 1)))
    allowed = expected(call, model)
    assert judge(call.x, allowed, model).verdict is Verdict.EXACT
    for i, value in ((0, np.nan), (0, np.inf), (1, 5.0), (1, -np.inf), (1, np.nan), (2, 0.0), (2, np.inf), (3, np.nan)):
        y = call.x.copy()
        y[0, 0, 0, i] = value
        assert judge(y, allowed, model).wrong.ravel().nonzero()[0].tolist() == [i]


def test_a_model_that_skips_padding_accepts_both() -> None:
    model = Model("float64", skips_padding=True)
    call = checked_call(np.ones((1, 1, 1, 1)), np.array([[[[np.inf, 2.0]]]]), padding=((0, 0), (1, 0)))
    allowed = expected(call, model)
    for value, verdict in ((2.0, Verdict.EXACT), (np.nan, Verdict.EXACT), (np.inf, Verdict.WRONG)):
        assert judge(np.full((1, 1, 1, 1), value), allowed, model).verdict is verdict


def test_integers_are_compared_as_such() -> None:
    call = checked_call(np.full((1, 1, 1, 1), 2**62 + 1), np.ones((1, 1, 1, 1), np.int64))
    allowed = expected(call, MODELS["int64"])
    y = np.full((1, 1, 1, 1), 2**62 + 1)
    assert judge(y, allowed, MODELS["int64"]).verdict is Verdict.EXACT
    # In float64 they are the same.
    assert judge(y - 1, allowed, MODELS["int64"]).verdict is Verdict.WRONG


def test_the_model_follows_the_types() -> None:
    def default(dtype: str, output: str) -> str:
        ones = np.ones((1, 1, 1, 1), dtype)
        return str(model_of(None, checked_call(ones, ones), np.dtype(output)))

    assert default("float16", "float16") == "inputs rounded to float16, sums in float32, outputs rounded to float16"
    assert default("float16", "float32") == default("float32", "float32") == "sums in float32"
    assert default("float64", "float64") == "sums in float64"
    assert default("int8", "int32") == "sums in int32"
    assert default("int8", "int64") == "sums in int64"


def test_models_tell_what_they_are() -> None:
    assert str(MODELS["tf32"]) == "inputs faithfully rounded to tf32, sums in float32"
    everything = Model("float16", flushes_subnormals=True, skips_padding=True)
    assert str(everything) == "sums in float16, subnormals flushed to zero, padding skipped"
    assert everything.rounds_more
    assert not MODELS["float32"].rounds_more


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("float23",), "accumulator is 'float23', but must be one of 'float16', .* Did you mean 'float32'?"),
        (("float32", "fp16"), "inputs is 'fp16', but must be one of None, .* Did you mean 'float16'?"),
        (("float32", None, "half"), "output is 'half'"),
    ],
)
def test_a_model_of_unknown_types_is_refused(arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Model(*arguments)
