"""A file that a run writes as it goes, a record of JSON a line, and that an interrupted run is resumed from."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import npconv
from bench.report import Report
from bench.rows import Row
from bench.worker import cores


class RecordsError(ValueError):
    """A file that cannot be gone on with."""


class Records:
    """The rows that were measured, in memory and, if there is a path, in its file.

    The first line holds what a run depends on, ``{"run": ...}``; a ``{"row": ...}`` follows for each row, and a
    ``{"report": ...}`` for each benchmark that has ended. Of two reports of one name the later counts.

    Parameters
    ----------
    path : Path or None
        The file. If it is there, its rows are taken over, and the next are added.
    run : dict
        What has to be the same for rows to stand in one table.

    Raises
    ------
    RecordsError
        If the file is of another run, or none of ours.
    """

    def __init__(self, path: Path | None, run: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[Any, Row] = {}
        if path is None:
            return
        if path.exists() and path.stat().st_size:
            self.take_over(path, run)
        else:
            self.write({"run": run, "begun": datetime.now(UTC).isoformat(timespec="seconds")})

    def take_over(self, path: Path, run: Mapping[str, Any]) -> None:
        """Read the rows of a file, and drop the line that an interruption has cut off."""
        whole = path.read_bytes()
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()
        try:
            first, *others = map(json.loads, lines)
            before = first["run"]
            rows = [Row.of(line["row"]) for line in others if "row" in line]
        except (ValueError, TypeError, KeyError) as fault:
            raise RecordsError(f"{path} is no record of a benchmark: {fault}") from None
        # As it would be read.
        now = json.loads(json.dumps(run))
        if changed := [name for name in {**before, **now} if before.get(name) != now.get(name)]:
            was = "; ".join(f"{name}: {before.get(name)}, now {now.get(name)}" for name in changed)
            raise RecordsError(f"{path} is of another run. {was}")
        self.rows = {row.key: row for row in rows}
        os.truncate(path, whole.rfind(b"\n") + 1)

    def add(self, rows: Sequence[Row]) -> None:
        """Note rows."""
        for row in rows:
            self.rows[row.key] = row
            self.write({"row": row.data()})

    def end(self, report: Report) -> None:
        """Note a benchmark that has ended."""
        self.write({"report": report.document()})

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a line that is there even if the machine stops."""
        if self.path is not None:
            with self.path.open("a") as stream:
                stream.write(json.dumps(record, allow_nan=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())


def circumstances(engines: Mapping[str, str], pace: Mapping[str, float]) -> dict[str, Any]:
    """Return what a run depends on: the machine, the versions, our own source, how long it measures."""
    from npconv.machine import versions

    return {
        "processor": processor(),
        "cores": cores(os.cpu_count() or 1),
        **{name: version for name, version in versions().items() if name != "cache"},
        "source": source(),
        "engines": dict(engines),
        **pace,
    }


def processor() -> str:
    """Return the processor's name."""
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def source() -> str:
    """Return a digest of npconv's own source: between releases its version does not change, its kernels do."""
    digest = hashlib.sha256()
    root = Path(npconv.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
