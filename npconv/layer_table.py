"""A network layer by layer: what each layer is, needs, moves and sees. Computed from shapes; nothing runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from npconv.counts import OpCount
from npconv.models.model import Model
from npconv.networks import Layer, Network, Published
from npconv.receptive import ReceptiveField, layer_fields
from npconv.text import Row, by, share, square

if TYPE_CHECKING:
    from npconv.tallies import Quantity

# Of float32, which most networks are run in.
BYTES_OF_AN_ELEMENT = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A layer, the pixels that one of its outputs sees where that is known, and the method of its plan if there is one.

    Without a plan `counts` are those of the closed forms, with one they hold its idle lanes too.
    """

    layer: Layer
    field: ReceptiveField | None
    counts: OpCount
    method: str = ""

    @property
    def bytes(self) -> int:
        """Bytes of input, weights and output, each element moved once in each run."""
        x, y = math.prod(self.layer.x_shape), math.prod(self.layer.y_shape)
        return self.layer.times * (x + self.layer.parameters + y) * BYTES_OF_AN_ELEMENT

    @property
    def intensity(self) -> float:
        """Products and additions, those on padding included, for each byte."""
        return intensity(self.counts, self.bytes)


def lines(network: Network, *, planned: bool = False) -> list[Line]:
    """Return a network line by line; `planned` asks for the method that this library would choose for each layer.

    >>> from npconv.networks import network
    >>> first = lines(network("mobilenet-v1"))[0]
    >>> first.layer.name, first.counts.dense_mul, first.bytes, first.field.size
    ('conv1', 10838016, 2211200, (3, 3))
    """
    fields = layer_fields(network)
    table = [Line(layer, field, layer.counts) for layer, field in zip(network.layers, fields, strict=True)]
    return [with_plan(line) for line in table] if planned else table


def with_plan(line: Line) -> Line:
    """Return a line with the method of a plan for float32, and the work of the lanes that it throws away.

    There are no plans for transposed layers.
    """
    if line.layer.transposed:
        return line
    # Slower to import than all the rest of this table.
    import numpy as np

    from npconv.choice import choose
    from npconv.threads import get_num_threads

    geometry = line.layer.geometry
    layout = choose(geometry, np.dtype(np.float32), "auto", get_num_threads())[0]
    additions = geometry.K - (0 if line.layer.bias else 1)
    idle = OpCount(idle_mul=layout.idle * geometry.K, idle_add=layout.idle * additions)
    return replace(line, counts=line.counts + line.layer.times * idle, method=layout.method)


def heading(network: Network) -> str:
    """Return in one line what the table is about."""
    N, *image = network.layers[0].x_shape
    layers = f"{len(network.layers)} layer{'s' if len(network.layers) > 1 else ''}"
    return f"{network.name}: {layers}, for {N} image{'' if N == 1 else 's'} of {by(image)}"


def rows(network: Network, table: Sequence[Line]) -> list[Row]:
    """Return the table as rows of text: the columns' heads, the layers, the totals."""
    shown = [cells(line) for line in table]
    columns = [name for name in shown[0] if any(line[name] for line in shown)]
    bottom = totals(network, table)
    return [
        tuple(columns),
        *(tuple(line[name] for name in columns) for line in shown),
        tuple(bottom.get(name, "") for name in columns),
    ]


def cells(line: Line) -> dict[str, str]:
    """Return what to show of a layer, by the heads of the columns; a column without an entry is left out."""
    layer = line.layer
    return {
        "layer": layer.name,
        "input": by(layer.x_shape),
        "weight": by(layer.weight_shape),
        "groups": str(layer.groups),
        "stride": square(layer.stride),
        "output": by(layer.y_shape),
        "runs": f"{layer.times}" if layer.times > 1 else "",
        "parameters": f"{layer.parameters:,}",
        **needs(line.counts, line.bytes),
        "field": square(line.field.size) if line.field else "",
        "method": line.method,
        "utilised": f"{line.counts.utilisation:.1%}" if line.method else "",
    }


def totals(network: Network, table: Sequence[Line]) -> dict[str, str]:
    """Return the last row, by the heads of the columns."""
    counts = sum((line.counts for line in table), OpCount())
    planned = sum((line.counts for line in table if line.method), OpCount())
    return {
        "layer": "total",
        "parameters": f"{network.parameters:,}",
        **needs(counts, sum(line.bytes for line in table)),
        "utilised": f"{planned.utilisation:.1%}",
    }


def needs(counts: OpCount, moved: int) -> dict[str, str]:
    """Return what a layer, or all of them, computes and moves, by the heads of the columns."""
    return {
        "products": f"{counts.dense_mul:,}",
        "padding": share(counts.padding_mul, counts.dense_mul),
        "additions": f"{counts.dense_add:,}",
        "bytes": f"{moved:,}",
        "op/byte": f"{intensity(counts, moved):.1f}",
    }


def intensity(counts: OpCount, moved: int) -> float:
    """Return products and additions, those on padding included, for each byte."""
    return (counts.dense_mul + counts.dense_add) / moved


def remarks(network: Network) -> list[str]:
    """Return what the table leaves unsaid."""
    told = []
    if network.convolution_products != network.products:
        told.append(f"without fully connected layers: {network.convolution_products:,} products")
    if network.norm_parameters:
        others = "everything else" if isinstance(network, Model) else "normalisations"
        told.append(f"with {others}: {network.trainable_parameters:,} parameters")
    return [*told, *(f"not counted: {what}" for what in uncounted(network))]


def uncounted(network: Network) -> tuple[str, ...]:
    """Return what of a user's model is in no layer."""
    return network.uncounted if isinstance(network, Model) else ()


def record(line: Line) -> dict[str, Any]:
    """Return a line as names and values for another program; counts carry the names of `OpCount`."""
    layer, counts = line.layer, line.counts
    return {
        "name": layer.name,
        "x_shape": layer.x_shape,
        "weight_shape": layer.weight_shape,
        "y_shape": layer.y_shape,
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "bias": layer.bias,
        "transposed": layer.transposed,
        "fully_connected": layer.fully_connected,
        "times": layer.times,
        "parameters": layer.parameters,
        "mul": counts.mul,
        "add": counts.add,
        "padding_mul": counts.padding_mul,
        "padding_add": counts.padding_add,
        "idle_mul": counts.idle_mul if line.method else None,
        "idle_add": counts.idle_add if line.method else None,
        "method": line.method or None,
        "bytes": line.bytes,
        "intensity": line.intensity,
        "receptive_field": line.field.size if line.field else None,
    }


def as_json(network: Network, table: Sequence[Line]) -> dict[str, Any]:
    """Return the table, its totals and the figures in print as a structure of lists and dictionaries."""
    counts = sum((line.counts for line in table), OpCount())
    return {
        "network": network.name,
        "layers": [record(line) for line in table],
        "totals": {
            "parameters": network.parameters,
            "trainable_parameters": network.trainable_parameters,
            "mul": counts.mul,
            "add": counts.add,
            "padding_mul": counts.padding_mul,
            "padding_add": counts.padding_add,
            "products": network.products,
            "convolution_products": network.convolution_products,
            "bytes": sum(line.bytes for line in table),
        },
        "uncounted": uncounted(network),
        "published": [
            {
                "figure": figure.figure,
                "quantity": figure.quantity,
                "source": figure.source,
                "note": figure.note,
                "computed": getattr(network, figure.quantity),
                "reproduced": network.reproduces(figure),
            }
            for figure in network.published
        ],
    }


def published(network: Network) -> list[Row]:
    """Return the figures in print as rows of text, the first of them the columns' heads, and what makes each."""
    return [
        ("in print", "computed", "which is", "where"),
        *((figure.figure, *explained(network, figure), figure.source) for figure in network.published),
    ]


def explained(network: Network, figure: Published) -> tuple[str, str]:
    """Return the number that rounds to a figure, and its convention; or that there is none, and what comes nearest."""
    if network.reproduces(figure):
        return f"{getattr(network, figure.quantity):,}", figure.quantity.replace("_", " ")
    # As slow to import as all the rest, and most figures are plain totals.
    from npconv.explanation import explain_number

    quantity: Quantity = "parameters" if figure.quantity.endswith("parameters") else "operations"
    found = explain_number(network, figure.figure, quantity=quantity)
    best, *_ = found.explanations or found.nearest
    return best.shown, best.words if found.reproduced else f"NOT reproduced, nearest is {best.words}"
