"""`kernel`, the one decorator of every compiled function, and the disk cache that lets a second process start fast."""

import contextlib
import functools
import hashlib
import os
import pickle
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
import numpy as np
from numba.core import compiler, config, serialize, types
from numba.core.caching import _Cache
from numba.core.types.misc import unliteral
from numba.misc.appdirs import user_cache_dir

# Importing it and what it stands on gives every operation its compiled form.
from npconv.kernels import turning
from npconv.kernels.forms import fields_are_known

Function = TypeVar("Function", bound=Callable[..., Any])

UNUSED_DAYS = 30
# Stored code begins with its hash: a file that a disk has damaged is compiled again, not run.
DIGEST_BYTES = 32


def fingerprint() -> str:
    """Return a hash of all that decides the machine code but the CPU: kernel sources, versions, switches, how arrays are described.

    Numba's own key holds the bytecode of one function: not its constants, not its callees, no switches.
    """
    versions = sys.version, np.__version__, numba.__version__, llvmlite.__version__
    decisive = *versions, config.BOUNDSCHECK, str(config.OPT), fields_are_known()
    digest = hashlib.sha256(repr(decisive).encode())
    for source in sorted(Path(turning.__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]


@functools.cache
def cache_folder() -> Path:
    """Return the folder of compiled kernels, made if it can be; folders beside it that were long unused are removed."""
    parent = Path(config.CACHE_DIR or user_cache_dir("npconv"))
    folder = parent / f"npconv-{fingerprint()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(folder)
        for other in parent.glob("npconv-*"):
            if time.time() - other.stat().st_mtime > UNUSED_DAYS * 86400:
                shutil.rmtree(other, ignore_errors=True)
    return folder


class KernelCache(_Cache):
    """One file for each compiled signature, named by it.

    Numba's own cache numbers its files in an index; two processes that write at once can each claim the same number, and one then
    loads the other's code. Any failure to read or write here means no more than that the kernel is compiled.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._reads = True

    @property
    def cache_path(self):
        """The folder."""
        return str(cache_folder())

    def _file(self, signature, codegen):
        key = repr((self._name, signature, codegen.magic_tuple()))
        return cache_folder() / f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:20]}.nbc"

    def load_overload(self, sig, target_context):
        """Return the stored code of a signature, or None. It is machine code: what Numba knows of Python's types is not read for it."""
        with contextlib.suppress(Exception):
            if self._reads:
                stored = self._file(sig, target_context.codegen()).read_bytes()
                digest, code = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
                if hashlib.sha256(code).digest() == digest:
                    return compiler.CompileResult._rebuild(target_context, *pickle.loads(code))
        return None

    def save_overload(self, sig, data):
        """Store the code of a signature; a reader sees the whole file or none."""
        with contextlib.suppress(OSError):
            file = self._file(sig, data.codegen)
            temporary = file.with_suffix(f".{os.getpid()}.tmp")
            code = serialize.dumps(data._reduce())
            temporary.write_bytes(hashlib.sha256(code).digest() + code)
            temporary.replace(file)

    def enable(self):
        """Read stored code."""
        self._reads = True

    def disable(self):
        """Compile afresh, as a test that reads the assembly must: code from the disk has none to show."""
        self._reads = False

    def flush(self):
        """Remove this function's files."""
        for file in cache_folder().glob(f"{self._name}-*.nbc"):
            file.unlink(missing_ok=True)


def from_python(function: Function) -> Function:
    """Compile a function that Python calls: no Python objects, no GIL, division as in NumPy, a place in the disk cache.

    Arrays are borrowed from the caller, so Numba need not count references to them: a pair of atomic operations for each array at
    each call of one kernel by another, which made copying the rows of an image four times slower.
    """
    return compiled(function)


def kernel(function: Function) -> Function:
    """Compile a function as `from_python` does, for compiled callers: what unpacks Python's arguments would take as long to compile."""
    return compiled(function, no_cpython_wrapper=True)


def driver(function: Function) -> Function:
    """Compile the outermost loop of a method as `kernel` does; Python comes in by `npconv.kernels.entry`."""
    return kernel(function)


def inlined(function: Function) -> Function:
    """Compile a function as `kernel` does, to become part of its callers: registers that it is given stay registers.

    For small helpers alone: inside a large function LLVM no longer keeps a whole tile in registers.
    """
    return compiled(function, no_cpython_wrapper=True, forceinline=True)


def template_for_any_number(
    template_for: Callable[..., Any], args: Sequence[types.Type], kws: Mapping[str, types.Type]
) -> Any:
    """Return what a call of a kernel is typed by: an argument that the source gives as a number is as any other of its type.

    Numba would compile the kernel once more for it.
    """
    return template_for([*map(unliteral, args)], {name: unliteral(of) for name, of in kws.items()})


def compiled(function: Function, **options: bool) -> Function:
    """Compile a function for the decorators above; with the JIT off, return it as it is, silent about what arithmetic may do."""
    if config.DISABLE_JIT:
        return np.errstate(all="ignore")(function)
    dispatcher = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, _nrt=False, **options)(function)
    dispatcher._cache = KernelCache(function)
    # What is inlined is unrolled before, to bounds that its caller gives as numbers.
    if "forceinline" not in options:
        dispatcher.get_call_template = functools.partial(template_for_any_number, dispatcher.get_call_template)
    return cast("Function", dispatcher)
