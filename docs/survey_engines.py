"""Put engines through the judge as they come, and write what it finds: ``python docs/survey_engines.py 1500 45`` (cases, seconds)."""

import sys
from pathlib import Path

import numpy as np

from npconv.judge.adapters import ENGINES
from npconv.judge.apart import Apart
from npconv.judge.model import MODELS
from npconv.judge.named import load
from npconv.judge.run import Limits, Run
from npconv.judge.summary import Finding

PAGE = Path(__file__).parent / "engines.md"
NAMES = ("npconv", "torch", "onnxruntime", "openvino", "openvino-float32", "opencv", "jax")
# What each finding is, after it was reproduced by hand, by engine and a word of its name or probe. Nothing was wrong with npconv.
VERDICTS = {
    (
        "openvino",
        "bfloat16",
    ): "allowed by its settings: the compiled model answers bfloat16 when asked for its precision; f32 turns it off",
    (
        "openvino",
        "dye",
    ): "theirs: in bfloat16 a NaN or infinity also colours the pixel before it, which meets it with a weight of zero",
    (
        "opencv",
        "no known mistake exact integers",
    ): "theirs: a padded 1x1 kernel starts at the first pixel as if there were no padding, and reads memory beyond the image",
    ("opencv", "dye"): "theirs: NaN and +infinity come out as 3.4e38, the largest float",
    ("", "subnormals flushed to zero"): "a choice of theirs: subnormal numbers are taken for zero",
}


def main() -> None:
    """Judge engines against float32, as a user would expect it, and write the table."""
    cases, seconds = int(sys.argv[1]), float(sys.argv[2])
    rows = ["| engine | version | cases | failed | found | probe | classified |", "|---|---|---|---|---|---|---|"]
    for name in NAMES:
        engine = ENGINES[name]
        limits = Limits(cases, seconds, None)
        with Apart(load, name, 120.0) as subject:
            summary = Run(subject, name, np.dtype("float32"), MODELS["float32"], 0, limits).summary(
                None, lambda text: None
            )
        start = f"| {engine.title}, {engine.note} | {engine.version} | {sum(summary.verdicts.values()):,} |"
        rows += [
            f"{start} {found.count} | {' or '.join(found.names)} | {found.case.probe.name} | {classified(name, found)} |"
            for found in summary.findings
        ] or [f"{start} 0 | nothing | | |"]
        sys.stdout.write(f"{summary}\n\n")
    PAGE.write_text("\n".join(rows) + "\n")


def classified(name: str, finding: Finding) -> str:
    """Return what a finding of an engine was found to be."""
    told = f"{' '.join(finding.names)} {finding.case.probe.name}"
    signs = ((engine, sign) for engine, sign in VERDICTS if engine in ("", name) and sign in told)
    return VERDICTS.get(next(signs, ("", "")), "not yet looked at")


if __name__ == "__main__":
    main()
