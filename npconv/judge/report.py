"""What came of judging one output: printed, as HTML, as JSON, or raised."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from textwrap import fill
from typing import Any

import numpy as np

from npconv.judge.audit import Audit, audit
from npconv.judge.call import Call
from npconv.judge.diagnosis import Diagnosis, causes
from npconv.judge.element import Element, as_json, element, times
from npconv.judge.model import Model
from npconv.judge.oracle import Expected
from npconv.judge.separation import described
from npconv.judge.verdict import Judgement, Verdict
from npconv.judge.where import where
from npconv.memory import Array

COLOURS = {
    Verdict.EXACT: "#1a7f37",
    Verdict.WITHIN_BOUND: "#1a7f37",
    Verdict.SUSPECT: "#9a6700",
    Verdict.WRONG: "#cf222e",
    Verdict.INCONCLUSIVE: "#57606a",
}
WIDTH = 110


@dataclass(frozen=True, eq=False)
class Report:
    """What `check` found; printed, it says so.

    Parameters
    ----------
    call : Call
        Operands and geometry.
    model : Model
        Arithmetic that the output was held to.
    actual : ndarray
        The output.
    allowed : Expected
        What it may be.
    judgement : Judgement
        Verdict, and the error of each output as a share of its bound.

    Examples
    --------
    >>> import npconv as nc
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> weight = np.array([[[[1.0, 2.0], [3.0, 5.0]]]])
    >>> report = nc.check(nc.conv2d(x, weight[..., ::-1]), x, weight)
    >>> str(report.verdict), report.diagnosis.names[0], report.worst.index
    ('WRONG', 'kernel flipped in x', (0, 0, 0, 0))
    """

    call: Call
    model: Model
    actual: Array
    allowed: Expected
    judgement: Judgement

    @property
    def verdict(self) -> Verdict:
        """EXACT, WITHIN_BOUND, SUSPECT, WRONG or INCONCLUSIVE.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.check([[[[7.0]]]], [[[[1.0, 2.0]]]], [[[[1.0, 3.0]]]]).verdict
        <Verdict.EXACT: 'EXACT'>
        """
        return self.judgement.verdict

    @cached_property
    def first(self) -> Element | None:
        """The first wrong output in the order of memory; None if there is none.

        Examples
        --------
        >>> import npconv as nc
        >>> first = nc.check([[[[5.0]]]], [[[[1.0, 2.0]]]], [[[[1.0, 3.0]]]]).first
        >>> first.index, first.got, first.expected
        ((0, 0, 0, 0), 5.0, 7.0)
        """
        wrong = self.judgement.wrong
        return self._element(int(wrong.argmax())) if wrong.any() else None

    @cached_property
    def worst(self) -> Element | None:
        """The output with the largest error as a share of its bound, a wrong one if there is any; None for an empty batch.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.check([[[[5.0]]]], [[[[1.0, 2.0]]]], [[[[1.0, 3.0]]]]).worst.window
        'row 0, columns 0 to 1, channel 0 of x; no padding'
        """
        wrong, excess = self.judgement.wrong, self.judgement.excess
        if excess.size == 0:
            return None
        key = np.where(np.isnan(excess) | (wrong.any() & ~wrong), -1.0, excess)
        with np.errstate(all="ignore"):
            error = np.nan_to_num(np.abs(self.actual.astype(np.float64) - self.allowed.y), nan=np.inf)
        # Where a bound is zero, each error exceeds it infinitely; the largest is the worst of these.
        return self._element(int(np.where(key == key.max(), error, -1.0).argmax()))

    @cached_property
    def where(self) -> str:
        """The smallest place with a name that holds all wrong outputs; empty if there are none.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.check([[[[7.0, 0.0]]]], [[[[1.0, 2.0, 1.0]]]], [[[[1.0, 3.0]]]]).where
        'last output column: this output alone'
        """
        wrong = self.judgement.wrong
        return where(wrong, self.call.geometry) if wrong.any() else ""

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """The known mistakes that explain wrong outputs.

        Examples
        --------
        >>> import npconv as nc
        >>> report = nc.check([[[[5.0, 10.0]]]], [[[[1.0, 2.0, 4.0]]]], [[[[1.0, 3.0]]]])
        >>> report.diagnosis.names[0]
        'kernel flipped in x'
        """
        return causes(self.actual, self.call, self.model, self.judgement)

    @cached_property
    def audit(self) -> Audit:
        """The known mistakes that this data could not have shown; none if there is no data.

        Examples
        --------
        >>> import npconv as nc
        >>> report = nc.check([[[[2.0, 2.0]]]], [[[[1.0, 1.0, 1.0]]]], [[[[1.0, 1.0]]]])
        >>> "kernel flipped in x" in report.audit.names
        True
        """
        return audit(self.call, self.model, self.allowed) if self.actual.size else Audit((), 0)

    def raise_if_wrong(self) -> None:
        """Raise an `AssertionError` with this report as its text, if the output is wrong.

        Raises
        ------
        AssertionError
            If the verdict is WRONG.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.check([[[[7.0]]]], [[[[1.0, 2.0]]]], [[[[1.0, 3.0]]]]).raise_if_wrong()
        """
        if self.verdict is Verdict.WRONG:
            raise AssertionError(f"\n{self}")

    def to_json(self) -> dict[str, Any]:
        """Return the report without its arrays, ready for ``json.dumps``.

        Returns
        -------
        dict
            Verdict and reason, the call, place and number of wrong outputs, first and worst, causes, and what was unseen.

        Examples
        --------
        >>> import npconv as nc
        >>> told = nc.check([[[[5.0]]]], [[[[1.0, 2.0]]]], [[[[1.0, 3.0]]]]).to_json()
        >>> told["verdict"], told["outputs"], told["wrong"], told["worst"]["expected"]
        ('WRONG', 1, 1, 7.0)
        """
        g, judgement = self.call.geometry, self.judgement
        elements = {
            name: None if e is None else e.to_json() for name, e in (("first", self.first), ("worst", self.worst))
        }
        return {
            "verdict": str(self.verdict),
            "reason": judgement.reason,
            "model": str(self.model),
            "x_shape": list(g.x_shape),
            "weight_shape": list(g.weight_shape),
            "bias": self.call.bias is not None,
            **{name: as_json(option) for name, option in self.call.options.items()},
            "outputs": judgement.wrong.size,
            "wrong": int(judgement.wrong.sum()),
            "where": self.where,
            **elements,
            "causes": [
                {"names": list(cause.names), "sentence": cause.fault.sentence} for cause in self.diagnosis.causes
            ],
            "unseen": {why: list(names) for why, names in self.audit.reasons.items()},
        }

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.judgement.reason}."]
        for label, texts in self._rows():
            for i, text in enumerate(texts):
                head = f"  {'' if i else label:<9} "
                lines.append(fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * 12, break_long_words=False))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{label}</th>"
            f"<td style='text-align:left'>{'<br>'.join(map(escape, texts))}</td></tr>"
            for label, texts in self._rows()
        )
        colour = f"color:{COLOURS[self.verdict]}"
        return f"<p><b style='{colour}'>{self.verdict}</b>: {escape(self.judgement.reason)}.</p><table>{rows}</table>"

    def _rows(self) -> list[tuple[str, list[str]]]:
        """Return what there is to say, under its headings."""
        bias = "" if self.call.bias is None else f", bias ({self.call.geometry.O},)"
        rows = [("call", [f"{described(self.call.geometry)}{bias}"]), ("model", [str(self.model)])]
        worst, first = self.worst, self.first
        if worst is None:
            return rows
        if self.verdict is Verdict.EXACT:
            pass
        elif first is None:
            rows.append(("closest", [f"{worst.address}: {times(worst.excess)} what rounding may do"]))
        else:
            rows += [
                ("where", [self.where]),
                ("cause", str(self.diagnosis).splitlines()),
                ("worst", worst.told(self.model)),
            ]
            rows += [("first", first.told(self.model)[:3])] if first != worst else []
            return rows
        unseen, known = self.audit.reasons, self.audit.known
        text = f"{len(self.audit.names)} of {known} known mistakes would have passed on this data as well" + (
            ":" if unseen else "."
        )
        return [*rows, ("unseen", [text, *(f"- {why}: {', '.join(names)}" for why, names in unseen.items())])]

    def _element(self, flat: int) -> Element:
        return element(flat, self.actual, self.allowed, self.judgement.excess, self.call.geometry)
