"""`npconv check`: judge a function, an engine, or outputs in files."""

import argparse
import json
from pathlib import Path
from typing import Any

import npconv
from npconv.commands import FAILED, MISUSED, OK
from npconv.commands.options import Commands, add_command, size
from npconv.console import print_line, progress

EPILOG = """\
what can be judged:
  module:function or file.py:function   a function f(x, weight, bias, *, stride, padding, dilation, groups)
  npconv torch onnxruntime openvino openvino-float32 openvino-bfloat16 opencv opencv-direct jax
                                        an engine: python -m pip install "npconv[engines]"
  case.npz                              a case that an earlier run wrote, once more
  out.npy -x x.npy -w w.npy             an output in a file; arrays.npz:name is an array of an archive

exit codes: 0 if nothing is wrong, 1 if something is, 2 if nothing could be decided or the command was misused
"""
# As much as a user waits for without asking.
SECONDS_FOR_ONE_CALL = 60.0


def add_to(commands: Commands) -> None:
    """Say what the command takes."""
    about = "judge a convolution: your function, an engine, or an output in a file"
    parser = add_command(
        commands, "check", about, run, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", metavar="TARGET", help="a function, an engine, a case or an output, as below")
    parser.add_argument(
        "--model", metavar="NAME", help="arithmetic that is claimed, such as float32, tf32 or mixed_bfloat16"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    functions = parser.add_argument_group("functions and engines")
    functions.add_argument(
        "--cases", metavar="N", type=int, help="cases to judge (default: 500, unless there is a time)"
    )
    functions.add_argument("--time", metavar="S", type=float, help="seconds to go on for")
    functions.add_argument(
        "--seed", metavar="N", type=int, default=0, help="where chance begins (default: %(default)s)"
    )
    functions.add_argument(
        "--dtype", metavar="TYPE", default="float32", help="type of x and weight (default: %(default)s)"
    )
    functions.add_argument(
        "--timeout",
        metavar="S",
        type=float,
        default=SECONDS_FOR_ONE_CALL,
        help="seconds for one call, after which its process is ended (default: %(default)g)",
    )
    functions.add_argument("--all", action="store_true", help="go on after failures, to find other mistakes")
    functions.add_argument(
        "--case", metavar="FILE", type=Path, help="call the function on the arrays of this case alone"
    )
    functions.add_argument(
        "--save",
        metavar="FILE",
        type=Path,
        default=Path("case.npz"),
        help="where the smallest case that failed goes; an existing file is kept, and the new one gets a number (default: %(default)s)",
    )
    files = parser.add_argument_group("an output in a file")
    files.add_argument("-x", metavar="FILE", help="images (N, C, H, W)")
    files.add_argument("-w", "--weight", metavar="FILE", help="filters (O, C // groups, KH, KW)")
    files.add_argument("-b", "--bias", metavar="FILE", help="bias (O,)")
    files.add_argument("-s", "--stride", metavar="S", type=size, default=1, help="3 or 3x5 (default: %(default)s)")
    files.add_argument(
        "-p",
        "--padding",
        metavar="P",
        type=padding,
        default=0,
        help="3, 3x5, top:bottom x left:right as 0:1x2:3, valid, same or same_lower (default: %(default)s)",
    )
    files.add_argument("-d", "--dilation", metavar="D", type=size, default=1, help="3 or 3x5; 1 means none")
    files.add_argument("-g", "--groups", metavar="G", type=int, default=1, help="groups (default: %(default)s)")


def padding(text: str) -> Any:
    """Read padding as other commands do, and with a colon between the two ends of an axis.

    >>> padding("0:1x2"), padding("same"), padding("3")
    (((0, 1), (2, 2)), 'same', 3)
    """
    if text.replace("_", "").isalpha():
        return text
    if ":" not in text:
        return size(text)
    try:
        axes = [tuple(int(number) for number in axis.split(":")) for axis in text.split("x")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not made of integers, as 0:1x2:3 is") from None
    return tuple(axis * 2 if len(axis) == 1 else axis for axis in axes * (3 - len(axes[:2])))


def run(arguments: argparse.Namespace) -> int:
    """Judge what was named, and say it by the exit code too."""
    try:
        if arguments.target.endswith((".npz", ".npy")) or ".npz:" in arguments.target:
            result = _file(arguments)
        elif arguments.case is not None:
            result = _case(arguments)
        else:
            result = _function(arguments)
    except TypeError as fault:
        # Of types that are not convolved, and of what is no function: the user's to change.
        raise ValueError(str(fault)) from fault
    if arguments.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print_line(str(result))
    return {"WRONG": FAILED, "INCONCLUSIVE": MISUSED}.get(str(result.verdict), OK)


def _function(arguments: argparse.Namespace) -> Any:
    """Put a function or an engine through many cases, in a process of its own."""
    from npconv.judge.adapters import ENGINES
    from npconv.judge.apart import Apart
    from npconv.judge.named import load
    from npconv.judge.run import Run
    from npconv.judge.runner import checked_dtype, checked_limits

    limits = checked_limits(arguments.cases, arguments.time, arguments.timeout, keep_going=arguments.all)
    dtype, model = checked_dtype(arguments.dtype), arguments.model
    if model is None and arguments.target in ENGINES and dtype == "float32":
        model = ENGINES[arguments.target].model
    with progress() as show, Apart(load, arguments.target, arguments.timeout) as subject:
        return Run(subject, arguments.target, dtype, model, arguments.seed, limits).summary(arguments.save, show)


def _case(arguments: argparse.Namespace) -> Any:
    """Call a function on the arrays of one case."""
    from npconv.judge.apart import Apart
    from npconv.judge.case_files import load_case
    from npconv.judge.named import load

    call = load_case(arguments.case).call
    with Apart(load, arguments.target, arguments.timeout) as subject:
        outcome = subject(call)
    if outcome.y is None:
        raise ValueError(f"{arguments.target}: {outcome.text or 'it refused this case'}")
    return npconv.check(outcome.y, call.x, call.weight, call.bias, model=arguments.model, **call.options)


def _file(arguments: argparse.Namespace) -> Any:
    """Judge an output in a file: a case, or arrays of the user's."""
    from npconv.judge.case_files import array_header, check_sizes, load_array, load_case

    if arguments.x is None and arguments.weight is None:
        case = load_case(Path(arguments.target))
        if case.y is None:
            raise ValueError(f"{arguments.target} holds no output y. Did you mean npconv check module:function --case?")
        call, y, model = case.call, case.y, arguments.model or case.model
        return npconv.check(y, call.x, call.weight, call.bias, model=model, **call.options)
    if arguments.x is None or arguments.weight is None:
        raise ValueError("an output is judged with both -x and -w. Did you mean -x x.npy -w w.npy?")
    options = {name: getattr(arguments, name) for name in ("stride", "padding", "dilation", "groups")}
    sources = {"y": arguments.target, "x": arguments.x, "weight": arguments.weight, "bias": arguments.bias}
    given = {name: source for name, source in sources.items() if source is not None}
    check_sizes({name: array_header(source) for name, source in given.items()}, options)
    arrays: dict[str, Any] = {name: load_array(source) for name, source in given.items()}
    return npconv.check(arrays.pop("y"), **arrays, model=arguments.model, **options)
