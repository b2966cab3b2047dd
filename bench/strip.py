"""The kernels without their counters: every statement that only serves a tally, taken out of the syntax trees.

First go the updates of the tally themselves, ``tally[MUL] += mul``. Then, until nothing changes, what nobody reads any
more: a local variable that is only ever assigned, a result that no caller uses, a branch or loop with nothing left in
it. A kernel that was called inside such a statement is still called: ``tally[MOVED] += copy_planes(...)`` becomes
``copy_planes(...)``.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import npconv

KERNELS = Path(npconv.__file__).parent / "kernels"
PACKAGE = "npconv.kernels"
TALLY = "tally"
# Calls that have no effect but their value.
PURE = {"abs", "int", "len", "max", "min", "range", "element", "lanes_below"}


def kernel_trees() -> dict[str, ast.Module]:
    """Return the syntax tree of every module that defines a kernel, by its name."""
    trees = {path.stem: ast.parse(path.read_text()) for path in sorted(KERNELS.glob("*.py"))}
    return {name: tree for name, tree in trees.items() if any(True for _ in kernels(tree))}


def kernels(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions that are compiled."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(
            ast.unparse(mark) in ("driver", "kernel", "inlined") for mark in node.decorator_list
        ):
            yield node


def strip(trees: Mapping[str, ast.Module]) -> int:
    """Take the counters out of the trees, in place, and return how many statements went."""
    functions = [function for tree in trees.values() for function in kernels(tree)]
    before = sum(map(statements, functions))
    for function in functions:
        Remover(tallies=True).visit(function)
    size = 0
    while size != (size := sum(map(statements, functions))):
        unused = results_unused(functions)
        for function in functions:
            Remover(dead=dead_names(function), no_result=function.name in unused).visit(function)
    return before - size


def statements(function: ast.FunctionDef) -> int:
    """Return the number of statements, and one more for each result."""
    nodes = list(ast.walk(function))
    return sum(isinstance(node, ast.stmt) + (isinstance(node, ast.Return) and node.value is not None) for node in nodes)


def dead_names(function: ast.FunctionDef) -> set[str]:
    """Return the local variables that are assigned and read nowhere but in their own assignments."""
    assigned, read = set(), set()
    for node in own_statements(function):
        name = assigned_name(node)
        names = {n.id for child in parts(node) for n in ast.walk(child) if isinstance(n, ast.Name)}
        if name is None:
            read |= names
        else:
            assigned.add(name)
            read |= names - {name}
    return assigned - read


def own_statements(function: ast.FunctionDef) -> Iterator[ast.stmt]:
    """Yield every statement in a function, those in its branches and loops too."""
    return (node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function)


def parts(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield what a statement evaluates and assigns, without the statements inside it."""
    return (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt))


def assigned_name(node: ast.stmt) -> str | None:
    """Return the variable that a statement sets, where it sets one variable and does nothing else."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AugAssign):
        target = node.target
    else:
        return None
    return target.id if isinstance(target, ast.Name) else None


def results_unused(functions: list[ast.FunctionDef]) -> set[str]:
    """Return the kernels that other kernels call, but never for their result."""
    names = {function.name for function in functions}
    called, used = set(), set()
    for function in functions:
        alone = {id(node.value) for node in own_statements(function) if isinstance(node, ast.Expr)}
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                called.add(node.func.id)
                if id(node) not in alone:
                    used.add(node.func.id)
    return called - used


class Remover(ast.NodeTransformer):
    """Removes updates of the tally, assignments to dead names, results that nobody uses, and the shells around them."""

    def __init__(self, *, tallies: bool = False, dead: set[str] | None = None, no_result: bool = False) -> None:
        self.tallies = tallies
        self.dead = dead or set()
        self.no_result = no_result

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        """Remove an assignment to a counter."""
        return effects(node.value) if self._counts(node.targets[0], node) else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt | list[ast.stmt]:
        """Remove an addition to a counter."""
        return effects(node.value) if self._counts(node.target, node) else node

    def _counts(self, target: ast.expr, node: ast.stmt) -> bool:
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == TALLY:
            return self.tallies
        return assigned_name(node) in self.dead

    def visit_Return(self, node: ast.Return) -> ast.stmt | list[ast.stmt]:
        """Return nothing where nobody asks for it."""
        if not self.no_result or node.value is None:
            return node
        return [*effects(node.value), ast.Return(None)]

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        """Remove a branch with nothing in it."""
        self.generic_visit(node)
        if not node.body and not node.orelse:
            return effects(node.test)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_For(self, node: ast.For) -> ast.stmt | list[ast.stmt]:
        """Remove a loop with nothing in it."""
        self.generic_visit(node)
        return node if node.body else effects(node.iter)


def effects(value: ast.AST) -> list[ast.stmt]:
    """Return the calls in an expression that do something, as statements."""
    if isinstance(value, ast.Call) and not (isinstance(value.func, ast.Name) and value.func.id in PURE):
        return [ast.Expr(value)]
    return [call for child in ast.iter_child_nodes(value) for call in effects(child)]


def write_package(folder: Path, name: str) -> int:
    """Write the kernels without counters as a package, which imports the rest from npconv; return what `strip` does."""
    trees = kernel_trees()
    removed = strip(trees)
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.removeprefix(f"{PACKAGE}.") in trees:
                node.module = f"{name}.{node.module.removeprefix(f'{PACKAGE}.')}"
        (package / f"{module}.py").write_text(ast.unparse(ast.fix_missing_locations(tree)))
    return removed
