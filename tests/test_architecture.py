"""The house rules that a program can check, read from the syntax trees of the package that is installed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import npconv as nc

PACKAGE = Path(nc.__file__).parent
FILES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {room: ast.parse(path.read_text()) for room, path in FILES.items()}
KERNEL_ROOMS = [room for room in FILES if room.startswith("kernels.")]
NETWORK_ROOMS = [room for room in FILES if room.startswith("networks.") and room != "networks.execution"]

# From the ground up: a room stands on rooms of lower floors alone.
FLOORS = [
    {"arguments"},
    {"figures", "geometry", "memory"},
    {"reuse"},
    {"arrays", "counts", "reference", "threads"},
    {"judge.call", "judge.formats"},
    {"judge.model", "judge.sums"},
    {"judge.infinities", "judge.winograd"},
    {"judge.oracle"},
    {"judge.element", "judge.verdict", "judge.where"},
    {"judge.reading"},
    {"judge.outcome"},
    {"judge.fault"},
    {"judge.faults_of_axes", "judge.faults_of_groups", "judge.faults_of_values", "judge.faults_of_weights"},
    {"judge.faults", "judge.precision", "judge.reasons", "judge.separation"},
    {"judge.diagnosis"},
    {"judge.audit"},
    {"judge.report"},
    {"judge.case_files", "judge.geometries", "judge.probes", "judge.shapes", "judge.shrink"},
    {"judge.case", "judge.check", "judge.trial"},
    {"judge.adapters.foreign", "judge.adapters.layouts", "judge.apart", "judge.summary"},
    {"judge.adapters.__init__"},
    {"judge.grouping", "judge.named"},
    {"judge.run"},
    {"judge.runner"},
    {"testing.__init__", "testing.strategies"},
    {"judge.__init__"},
    {"networks.layer"},
    {"networks.network"},
    {"receptive"},
    {"models.__init__", "models.extra", "models.model"},
    {"models.aten", "models.onnx_graph", "models.onnx_shapes"},
    {"models.onnx_file", "models.torch_module"},
    {"networks.tape"},
    {
        *("networks.alexnet", "networks.convnext", "networks.efficientnet", "networks.litehrnet", "networks.mobilenet"),
        *("networks.resnet", "networks.shufflenet", "networks.vgg", "networks.xception"),
    },
    {"networks.catalogue"},
    {"models.load"},
    {"networks.totals"},
    {"conventions.facts"},
    {"conventions.convention"},
    {"conventions.article", "conventions.tools"},
    {"conventions.__init__"},
    {"kernels.__init__", "kernels.targets"},
    {"kernels.registers"},
    {"kernels.lowering"},
    {"kernels.calls", "kernels.forms", "kernels.sharing", "kernels.turning"},
    {"kernels.compile"},
    {"kernels.entry"},
    {"kernels.comparing", "kernels.tile"},
    {"kernels.packing", "kernels.planes", "kernels.work"},
    {
        *("kernels.channelwise", "kernels.columns", "kernels.depthwise", "kernels.direct", "kernels.filterwise"),
        *("kernels.im2col", "kernels.naive", "kernels.shuffle"),
    },
    {"kernels.separable"},
    {"layouts.layout"},
    {"layouts.planes", "layouts.runs"},
    {"layouts.channelwise"},
    {"layouts.depthwise", "layouts.direct", "layouts.filterwise", "layouts.im2col", "layouts.naive"},
    {"layouts.__init__", "layouts.separable"},
    {"helpers"},
    {"workspace"},
    {"useful"},
    {"choice"},
    {"plan", "rearrange"},
    {"separable"},
    {"networks.execution"},
    {"networks.__init__"},
    {"tallies"},
    {"explanation"},
    {"recent"},
    {"functional"},
    {"machine"},
    {"text"},
    {"console", "layer_forms", "layer_table"},
    {"plot.style"},
    {"plot.connectivity", "plot.conventions", "plot.multiplications", "plot.receptive_field"},
    {"plot.__init__"},
    {"demo"},
    {"commands.__init__", "commands.options"},
    {
        *("commands.bench", "commands.check", "commands.count", "commands.demo", "commands.explain"),
        *("commands.explain_number", "commands.versions"),
    },
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# The rooms whose kernels Python enters.
DRIVERS = sorted(FLOORS[FLOOR_OF["kernels.direct"]])

# What a room may import beside the standard library, where that is less than everything below it.
MAY_IMPORT = {
    "arguments": set[str](),
    "geometry": {"npconv.arguments"},
    "counts": {"npconv.arguments", "npconv.geometry"},
    "reference": {"npconv.geometry"},
    "memory": {"numpy"},
    "reuse": {"npconv.memory", "numpy"},
    "arrays": {"npconv.arguments", "npconv.geometry", "npconv.memory", "npconv.reuse", "numpy"},
    "receptive": {"npconv.arguments", "npconv.geometry", "npconv.networks"},
    "threads": {"npconv.arguments", "npconv.geometry"},
    **{
        room: {f"npconv.{home}" for home in ("arguments", "counts", "figures", "geometry", "networks")}
        for room in NETWORK_ROOMS
    },
    # Its readers of models are imported when they are asked for.
    "networks.__init__": {"npconv.models", "npconv.networks"},
    **{room: {"npconv.kernels", "numpy", "numba", "llvmlite"} for room in KERNEL_ROOMS},
}

NO_PLACE_IN_A_KERNEL = (
    ast.Raise,
    ast.Try,
    ast.Assert,
    ast.With,
    ast.Lambda,
    ast.Global,
    ast.GeneratorExp,
    ast.ListComp,
)

each_room = pytest.mark.parametrize("room", FILES)
each_kernel_room = pytest.mark.parametrize("room", KERNEL_ROOMS)


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a module imports, at the top or in a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(tree: ast.Module) -> set[str]:
    """Return the rooms of the package that a module imports."""
    rooms = set()
    for name in imports(tree):
        parts = name.split(".")
        if parts[0] == "npconv":
            candidates = [".".join(parts[1:stop]) for stop in range(len(parts), 1, -1)]
            packages = [f"{room}.__init__" for room in candidates if room != "kernels"]
            rooms.update(next(([room] for room in candidates + packages if room in FILES), []))
    return rooms


def kernels(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions that are compiled."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
            ast.unparse(d) in ("driver", "from_python", "kernel", "inlined") for d in node.decorator_list
        ):
            yield node


@each_room
def test_arrows_point_down(room: str) -> None:
    assert room in FLOOR_OF, "a new room needs a floor"
    above = {other for other in rooms_imported(TREES[room]) if FLOOR_OF[other] >= FLOOR_OF[room]}
    assert not above


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_ground_floor_and_kernels_stand_alone(room: str) -> None:
    foreign = {f"{name}." for name in imports(TREES[room]) if name.split(".")[0] not in sys.stdlib_module_names}
    assert not {name for name in foreign if not any(name.startswith(f"{home}.") for home in MAY_IMPORT[room])}


@pytest.mark.parametrize("room", [room for room in FILES if room.startswith("judge.")])
def test_the_judge_shares_no_code_with_the_accused(room: str) -> None:
    accused = ("functional", "kernels.", "layouts.", "plan", "rearrange")
    assert [other for other in rooms_imported(TREES[room]) if other.startswith(accused)] == []


def test_nothing_stands_on_the_reference() -> None:
    assert [room for room, tree in TREES.items() if "reference" in rooms_imported(tree)] == ["__init__"]


@pytest.mark.parametrize("room", DRIVERS)
def test_every_driver_is_looked_at(room: str) -> None:
    assert [f for f in kernels(TREES[room]) if "driver" in map(ast.unparse, f.decorator_list)] != []


@each_kernel_room
def test_kernels_only_loop(room: str) -> None:
    top_level = {node for node in TREES[room].body if isinstance(node, ast.FunctionDef)}
    for function in kernels(TREES[room]):
        assert function in top_level
        assert len(function.decorator_list) == 1
        assert [ast.unparse(node) for node in ast.walk(function) if isinstance(node, NO_PLACE_IN_A_KERNEL)] == []
        assert [node for node in ast.walk(function) if isinstance(node, ast.FunctionDef)] == [function]


@each_room
def test_no_fastmath(room: str) -> None:
    keywords = {node.arg for node in ast.walk(TREES[room]) if isinstance(node, ast.keyword)}
    # LLVM's instructions take the same licences as `flags`.
    assert not keywords & ({"fastmath", "flags"} if room.startswith("kernels.") else {"fastmath"})


@each_room
def test_rooms_are_small(room: str) -> None:
    assert len(FILES[room].read_text().splitlines()) <= 400
    for node in ast.walk(TREES[room]):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            length = (node.end_lineno or 0) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
            assert length <= 60, node.name


def test_all_holds_the_public_names() -> None:
    assert nc.__all__ == sorted(nc.__all__)
    assert sorted(dir(nc)) == sorted([*nc.__all__, "__version__"])
    assert all(getattr(nc, name) is not None for name in nc.__all__)
    checking = next(node for node in TREES["__init__"].body if isinstance(node, ast.If))
    assert ast.unparse(checking.test) == "TYPE_CHECKING"
    told_to_type_checkers = [name.rpartition(".")[2] for name in imports(ast.Module(checking.body, []))]
    assert sorted(told_to_type_checkers) == nc.__all__


@pytest.mark.parametrize("room", ["functional", "rearrange"])
def test_functions_of_the_interface_are_public(room: str) -> None:
    names = {node.name for node in TREES[room].body if isinstance(node, ast.FunctionDef)}
    assert {name for name in names if not name.startswith("_")} <= set(nc.__all__)


def test_import_leaves_numba_alone() -> None:
    program = "import sys, npconv; print({'numba', 'llvmlite', 'rich', 'matplotlib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
