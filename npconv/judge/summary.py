"""What a run found, as a reader and a program want it."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from npconv.judge.call import Call
from npconv.judge.case import Case
from npconv.judge.model import Model
from npconv.judge.report import Report
from npconv.judge.verdict import Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A mistake, on the smallest case that shows it.

    Parameters
    ----------
    names : tuple of str
        What it may be, after all the cases that failed so: the known mistakes, or the trouble.
    count : int
        Cases that failed so.
    case : Case
        The smallest one.
    call : Call
        Its arrays and options.
    report : Report or None
        What was wrong with its output, if there was one.
    trouble : str
        Why there was none.
    path : path or None
        File that replays it.
    function : str
        How the command ``npconv check`` finds the function.

    Examples
    --------
    >>> import npconv as nc
    >>> summary = nc.check_function(lambda *operands, **options: -nc.conv2d(*operands, **options), cases=9)
    >>> summary.findings[0].names, summary.findings[0].case.geometry.x_shape
    (('sign flipped',), (1, 1, 1, 1))
    """

    names: tuple[str, ...]
    count: int
    case: Case
    call: Call
    report: Report | None
    trouble: str
    path: Path | None = None
    function: str = "module:function"

    @property
    def text(self) -> str:
        """What is wrong, in sentences.

        Examples
        --------
        >>> import npconv as nc
        >>> summary = nc.check_function(lambda *operands, **options: -nc.conv2d(*operands, **options), cases=9)
        >>> print(summary.findings[0].text.splitlines()[0])
        WRONG: 1 of 1 outputs are what no order of summation gives.
        """
        return self.trouble if self.report is None else str(self.report)

    def __str__(self) -> str:
        lines = [f"{' or '.join(self.names)} ({_many(self.count, 'case')}); the smallest:"]
        lines += [f"{self.case}", *self.text.splitlines()]
        if self.path is not None:
            target = f"{self.function} --case {self.path}" if self.report is None else self.path
            lines.append(f"again: npconv check {target}")
        return "\n   ".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What came of all the cases that a function was asked for; printed, it says so.

    Parameters
    ----------
    name : str
        The function.
    model : Model
        Arithmetic that it was held to.
    dtype : str
        Type of the operands.
    seed : int
        Where chance began.
    verdicts : dict of int
        Number of cases of each verdict.
    failures : int
        Cases in which something was wrong.
    skipped : int
        Cases that it refused by `NotImplementedError`.
    geometries : int
        Different geometries among the cases that it did not refuse.
    findings : tuple of Finding
        What was wrong, the most frequent first.
    unseen : tuple of str
        What none of the geometries had that it did not refuse.
    refusals : tuple of str
        Its words when it refused.
    types : tuple of str
        Types of its outputs, other than that of the operands.
    seconds : float
        How long it all took.

    Examples
    --------
    >>> import npconv as nc
    >>> summary = nc.check_function(lambda *operands, **options: -nc.conv2d(*operands, **options), cases=9)
    >>> summary.verdict, summary.failures == summary.verdicts["WRONG"]
    (<Verdict.WRONG: 'WRONG'>, True)
    """

    name: str
    model: Model
    dtype: str
    seed: int
    verdicts: dict[str, int]
    failures: int
    skipped: int
    geometries: int
    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]
    refusals: tuple[str, ...]
    types: tuple[str, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """WRONG if anything was found, INCONCLUSIVE if nothing could be judged, else the weakest that was given.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.check_function(nc.conv2d, cases=1).verdict
        <Verdict.EXACT: 'EXACT'>
        """
        if self.findings:
            return Verdict.WRONG
        return next((v for v in (Verdict.WITHIN_BOUND, Verdict.EXACT) if self.verdicts.get(v)), Verdict.INCONCLUSIVE)

    def __str__(self) -> str:
        judged = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(self.verdicts.items()))
        lines = [
            f"{self.name}: {self.verdict}",
            f"  {_many(sum(self.verdicts.values()), 'case')} judged on {_many(self.geometries, 'geometry')}: {judged or 'none'}",
            f"  {self.dtype}, {self.model}; seed {self.seed}; {self.seconds:.1f} s",
        ]
        if self.skipped:
            words = "; ".join(word for word in self.refusals if word)
            lines.append(f"  {_many(self.skipped, 'case')} skipped, as it refused them{f': {words}' if words else ''}")
        if self.unseen:
            lines.append(f"  never judged: {', '.join(self.unseen)}")
        if self.types:
            lines.append(f"  its outputs are {' and '.join(self.types)}")
        lines += [f"\n{i}. {finding}" for i, finding in enumerate(self.findings, 1)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def to_json(self) -> dict[str, Any]:
        """Return everything but the arrays, ready for ``json.dumps``.

        Returns
        -------
        dict
            Verdict, model, seed, numbers of cases, and the findings with their reports.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.check_function(nc.conv2d, cases=1).to_json()["verdicts"]
        {'EXACT': 1}
        """
        plain = (
            "name",
            "dtype",
            "seed",
            "verdicts",
            "failures",
            "skipped",
            "geometries",
            "unseen",
            "refusals",
            "types",
        )
        return {
            "verdict": str(self.verdict),
            "model": str(self.model),
            **{name: getattr(self, name) for name in plain},
            "seconds": round(self.seconds, 3),
            "findings": [_as_json(finding) for finding in self.findings],
        }

    def raise_if_wrong(self) -> None:
        """Raise an `AssertionError` with the summary as its text, if anything was found.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.check_function(nc.conv2d, cases=1).raise_if_wrong()
        """
        if self.findings:
            raise AssertionError(str(self))


def _as_json(finding: Finding) -> dict[str, Any]:
    g = finding.case.geometry
    return {
        "names": finding.names,
        "count": finding.count,
        "trouble": finding.trouble,
        "report": None if finding.report is None else finding.report.to_json(),
        "probe": finding.case.probe.name,
        "x_shape": g.x_shape,
        "weight_shape": g.weight_shape,
        "bias": finding.call.bias is not None,
        **finding.call.options,
        "file": None if finding.path is None else str(finding.path),
    }


def _many(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{number:,} {noun}s"
