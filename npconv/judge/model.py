"""What arithmetic a kernel claims to use: the judge proves a value wrong under a model, never in general."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from npconv.arguments import complaint
from npconv.judge.call import Call
from npconv.judge.formats import FORMATS, Format
from npconv.memory import DType

INTEGERS = ("int32", "int64")


@dataclass(frozen=True, slots=True)
class Model:
    """The arithmetic that a kernel claims: how it rounds, in any order of summation, fused or not.

    Parameters
    ----------
    accumulator : {"float16", "bfloat16", "float32", "float64", "int32", "int64"}
        Type of the sums. Floats round to nearest after each product and each addition, or once for both; integers wrap.
    inputs : {None, "tf32", "bfloat16", "float16"}, optional
        Type that `x` and `weight` are rounded to first. Whether the bias is as well is left open.
    output : {None, "float32", "float16", "bfloat16"}, optional
        Type that finished sums are rounded to, if it is narrower than the accumulator.
    faithful_inputs : bool, optional
        Whether inputs may be rounded to either neighbour, as by cutting bits off, and not to the nearest alone.
    flushes_subnormals : bool, optional
        Whether subnormal inputs, products and sums may be taken for zero.
    skips_padding : bool, optional
        Whether products with padding may be left out, so that an infinite weight over padding need not give NaN.
    transform : {None, "winograd"}, optional
        Whether 3x3 filters of stride and dilation 1 may be computed by Winograd's algorithm, in tiles of up to 6x6 outputs.
        Of no other transform is the error known here.

    Raises
    ------
    ValueError
        If a type is none of these.

    Examples
    --------
    >>> print(Model("float32", inputs="bfloat16"))
    inputs rounded to bfloat16, sums in float32
    """

    accumulator: str
    inputs: str | None = None
    output: str | None = None
    faithful_inputs: bool = False
    flushes_subnormals: bool = False
    skips_padding: bool = False
    transform: str | None = None

    def __post_init__(self) -> None:
        sums = ("float16", "bfloat16", "float32", "float64", *INTEGERS)
        choices = {"accumulator": sums, "inputs": (None, *FORMATS), "output": (None, *FORMATS)}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                names = ", ".join(map(repr, allowed))
                likely = get_close_matches(str(value), [str(word) for word in allowed], 1, 0.0)[0]
                fault = f"{name} is {value!r}, but must be one of {names}. Did you mean {likely!r}?"
                raise complaint("Model", ValueError(fault), {name: value})
        if self.transform not in (None, "winograd") or (self.transform and self.is_integer):
            fault = (
                f"transform is {self.transform!r} with sums in {self.accumulator}, but the one known here is 'winograd' on floats."
                " Did you mean transform=None, with integers so small that every algorithm is exact?"
            )
            raise complaint("Model", ValueError(fault), {"transform": self.transform})

    @property
    def is_integer(self) -> bool:
        """Whether sums are whole numbers that wrap."""
        return self.accumulator in INTEGERS

    @property
    def sums(self) -> Format:
        """Format of the sums, if they are floats."""
        return FORMATS[self.accumulator]

    @property
    def result(self) -> str:
        """Type of the finished outputs."""
        return self.output or self.accumulator

    @property
    def rounds_more(self) -> bool:
        """Whether more is rounded than products and sums."""
        return self.flushes_subnormals or (self.inputs or self.output or self.transform) is not None

    def __str__(self) -> str:
        parts = [f"sums in {self.accumulator}"]
        if self.inputs:
            parts.insert(0, f"inputs {'faithfully ' if self.faithful_inputs else ''}rounded to {self.inputs}")
        if self.output:
            parts.append(f"outputs rounded to {self.output}")
        if self.flushes_subnormals:
            parts.append("subnormals flushed to zero")
        if self.skips_padding:
            parts.append("padding skipped")
        if self.transform:
            parts.append("by Winograd's algorithm where that applies")
        return ", ".join(parts)


MODELS = {
    **{name: Model(name) for name in ("float64", "float32", "float16", "bfloat16", *INTEGERS)},
    # Tensor cores cut the low bits off what is not converted before; libraries round it to nearest.
    "tf32": Model("float32", inputs="tf32", faithful_inputs=True),
    "winograd": Model("float32", transform="winograd"),
    "mixed_float16": Model("float32", inputs="float16", output="float16"),
    "mixed_bfloat16": Model("float32", inputs="bfloat16", output="bfloat16"),
}


def model_of(model: Any, call: Call, dtype: DType | None = None) -> Model:
    """Return a model by its name, or the one that a call's types and the output's type suggest if it is None.

    As `npconv.conv2d` does it: float16 is summed in float32 and rounded once, other floats are summed in their own type, integers
    wrap in int64, or in int32 where outputs are of that type.
    """
    if model is None:
        if call.is_integer:
            return MODELS["int32" if dtype == "int32" else "int64"]
        return MODELS["mixed_float16" if call.dtype == "float16" and dtype != "float32" else _widened(call.dtype.name)]
    if isinstance(model, str):
        if model not in MODELS:
            likely = get_close_matches(model, MODELS, 1, 0.0)[0]
            fault = f"there is no model {model!r}; there are {', '.join(MODELS)}. Did you mean {likely!r}?"
            raise complaint("check", ValueError(fault), {"model": model})
        model = MODELS[model]
    if not isinstance(model, Model):
        fault = f"model is {model!r} ({type(model).__name__}), but must be a name or a Model. Did you mean 'float32'?"
        raise complaint("check", TypeError(fault), {"model": model})
    if model.is_integer != call.is_integer:
        data, fix = ("integers", "'int32'") if call.is_integer else ("floats", "'float32'")
        fault = f"model sums in {model.accumulator}, but x and weight are {data}. Did you mean model={fix}?"
        raise complaint("check", ValueError(fault), {"model": str(model)}, x=call.x.shape, weight=call.weight.shape)
    return model


def _widened(name: str) -> str:
    return "float32" if name == "float16" else name
