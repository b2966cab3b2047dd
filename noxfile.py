#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.10.14"]
# ///
"""What contributors run, each in an environment of its own: ``nox --list``."""

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")

TARGETS = {
    "avx2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+sse4.2"},
    "plain": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    "jit-off": {"NUMBA_DISABLE_JIT": "1"},
    "bounds": {"NUMBA_BOUNDSCHECK": "1"},
}


def groups(*names: str) -> tuple[str, ...]:
    """Return the requirements of some dependency groups."""
    return nox.project.dependency_groups(PROJECT, *names)


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the suite on the built wheel."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and spelling."""
    session.install(*groups("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("typos")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install(".[test]", *groups("types"))
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation with warnings as errors, and validate the docstrings that it shows."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build")


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure branch coverage with the JIT off (kernels) and on from an empty cache (code generators), combined."""
    session.install(".[test]", "coverage>=7.10")
    data = f"--data-file={session.create_tmp()}/coverage"
    pytest = shutil.which("pytest", path=os.pathsep.join(session.bin_paths or [])) or "pytest"
    session.run("coverage", "erase", data)
    session.run("coverage", "run", data, pytest, "-m", "kernels", env={"NUMBA_DISABLE_JIT": "1"})
    empty = Path(session.create_tmp()) / "empty-cache"
    shutil.rmtree(empty, ignore_errors=True)
    session.run("coverage", "run", data, pytest, env={"NUMBA_CACHE_DIR": str(empty)})
    session.run("coverage", "combine", data, session.create_tmp())
    session.run("coverage", "report", data)


@nox.session
@nox.parametrize("target", [*TARGETS], ids=[*TARGETS])
def targets(session: nox.Session, target: str) -> None:
    """Run the kernel tests as another CPU, with the JIT off, with bounds checks, on each threading layer."""
    session.install(".[test]")
    session.run("pytest", "-m", "kernels", *session.posargs, env=TARGETS[target])


@nox.session
@nox.parametrize("target", ["host", "avx2", "plain"], ids=["host", "avx2", "plain"])
def spills(session: nox.Session, target: str) -> None:
    """Compile every register tile that a plan can choose, and read in the machine code that no vector is spilled."""
    session.install(".[test]")
    session.run(
        "pytest", "tests/test_targets.py", "-k", "spilled", env={"NPCONV_EVERY_TILE": "1"} | TARGETS.get(target, {})
    )


@nox.session
def foreign(session: nox.Session) -> None:
    """Run counting tools, XLA, PyTorch's modules and the engines, and hold ours against what they say."""
    session.install(".[test,tools,engines]")
    session.run("pytest", "tests/test_tools.py", "tests/test_xla.py", *session.posargs)
    # Apart: once JAX has started its threads, it warns of every process that another engine forks.
    session.run("pytest", "tests/test_models_torch.py", "tests/test_judge_adapters.py", *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """Run the suite on the oldest NumPy and Numba that the package admits."""
    session.install(".[test]")
    session.install(*(requirement.replace(">=", "~=") + ".0" for requirement in PROJECT["project"]["dependencies"]))
    session.run("pytest", *session.posargs)


@nox.session
def long(session: nox.Session) -> None:
    """Run the property tests with 20,000 examples each."""
    session.install(".[test]")
    session.run("pytest", *session.posargs, env={"NPCONV_EXAMPLES": "20000"})


@nox.session
def networks(session: nox.Session) -> None:
    """Take every published network through the kernels, layer by layer, with its real shapes."""
    session.install(".[test]")
    session.run("pytest", "tests/test_networks_run.py", *session.posargs, env={"NPCONV_ALL_NETWORKS": "1"})


@nox.session
def faults(session: nox.Session) -> None:
    """Every known mistake on every geometry and probe: each is caught, and named."""
    session.install(".[test]")
    session.run("pytest", "tests/test_judge_faults.py", *session.posargs, env={"NPCONV_ALL_FAULTS": "1"})


@nox.session
def mutation(session: nox.Session) -> None:
    """Break `geometry` and `counts` one spot at a time, in a copy, and list what no test noticed."""
    session.install("numpy>=2.0", *groups("mutation"))
    copy = Path(session.create_tmp()) / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    for folder in ("npconv", "tests"):
        shutil.copytree(folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "cosmic-ray.toml"):
        shutil.copy(file, copy)
    session.chdir(copy)
    session.run("cosmic-ray", "baseline", "cosmic-ray.toml")
    session.run("cosmic-ray", "init", "cosmic-ray.toml", "session.sqlite")
    session.run("cr-filter-operators", "session.sqlite", "cosmic-ray.toml")
    session.run("cosmic-ray", "exec", "cosmic-ray.toml", "session.sqlite")
    session.run("cr-report", "--surviving-only", "--show-diff", "session.sqlite")


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, beside other libraries."""
    session.install(".[bench]")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def review(session: nox.Session) -> None:
    """Hold the repository against the Scientific Python guide."""
    session.install(*groups("lint"))
    session.run("sp-repo-review", ".")


if __name__ == "__main__":
    nox.main()
