"""Networks held to a folder of layer lists: ``python tests/layer_lists.py FOLDER``.

Each file is a JSON object with "name", "layers", "totals" and "published"; `NAMES` tells which network it is. Totals and
layers have to be ours to the unit; what was published has to be explained, or the nearest is told.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npconv.counts import OpCount
from npconv.explanation import explain_number
from npconv.networks import Network, network

if TYPE_CHECKING:
    from npconv.tallies import Quantity

NAMES = {
    "alexnet_grouped": "alexnet",
    "alexnet_ungrouped": "alexnet-ungrouped",
    "litehrnet18_256x192": "lite-hrnet-18",
    "mobilenet_v1_0.5_160": "mobilenet-v1-0.5-160",
    "mobilenet_v1_1.0_224": "mobilenet-v1",
    "mobilenet_v1_full_1.0_224": "mobilenet-v1-full",
    "mobilenet_v2_1.0_224": "mobilenet-v2",
    "resnet50": "resnet-50",
    "resnext50_32x4d": "resnext-50-32x4d",
    **{f"shufflenet_v1_g{groups}_x1.0": f"shufflenet-v1-g{groups}" for groups in (1, 2, 3, 4, 8)},
    "shufflenet_v2_paper_x1.0": "shufflenet-v2",
    "xception_299": "xception",
}


def totals(net: Network) -> dict[str, int]:
    """Return our totals by the names of the files."""
    counts, convolutions = net.counts, net.convolution_counts
    without = sum((replace(layer, bias=False).counts for layer in net.layers), OpCount())
    return {
        "layers": len(net.layers),
        "conv_macs": convolutions.dense_mul,
        "fc_macs": counts.dense_mul - convolutions.dense_mul,
        "macs": counts.dense_mul,
        "useful_macs": counts.mul,
        "multiplies": counts.dense_mul,
        "adds_n_minus_1": without.dense_add,
        "bias_adds": counts.dense_add - without.dense_add,
        "flops_exact": counts.dense_mul + counts.dense_add,
        "flops_2xmac": 2 * counts.dense_mul,
        "outputs": sum(layer.times * prod(layer.y_shape) for layer in net.layers),
        "params_conv_fc": net.parameters,
        "params_norm": net.norm_parameters,
        "params": net.trainable_parameters,
        "macs_each_layer_once": sum(layer.counts.dense_mul // layer.times for layer in net.layers),
    }


def differences(listed: dict[str, Any], net: Network) -> Iterator[str]:
    """Yield what differs between a file and our network: totals, and layers whatever their order."""
    ours = totals(net)
    for name, number in listed["totals"].items():
        if name in ours and number != ours[name]:
            yield f"{name} is {number:,} in the list, {ours[name]:,} here"
    theirs = Counter(
        (
            (layer["cin"], layer["hin"], layer["win"]),
            (layer["cout"], layer["cin"] // layer["groups"], *layer["kernel"]),
            tuple(layer["stride"]),
            tuple(layer["padding"]),
            layer["groups"],
            bool(layer["bias"]),
            layer["executions"],
        )
        for layer in listed["layers"]
        if layer["op"] == "conv"
    )
    here = Counter(
        (
            layer.x_shape[1:],
            layer.weight_shape,
            layer.stride,
            (*layer.padding[0], *layer.padding[1]),
            layer.groups,
            layer.bias,
            layer.times,
        )
        for layer in net.layers
        if not layer.fully_connected
    )
    for one, other, where in ((theirs, here, "in the list"), (here, theirs, "here")):
        for layer, times in (one - other).items():
            yield f"{times} more of the layer {layer} {where}"


def figures(listed: dict[str, Any], net: Network) -> Iterator[tuple[bool, str]]:
    """Yield for each published number whether it is reproduced, and what is found out about it."""
    ours = totals(net)
    for entry in listed["published"]:
        quantity: Quantity = "parameters" if entry["what"].startswith("params") else "operations"
        number = entry["published"]
        told = f"{number / 2**20:.1f} Mi" if entry["what"].startswith("torchstat") else number
        found = explain_number(net, told, quantity=quantity)
        if entry["what"] in ours and entry["computed"] != ours[entry["what"]]:
            yield False, f"{entry['what']} is {entry['computed']:,} in the list, {ours[entry['what']]:,} here"
        yield found.reproduced, f"{entry['source']}: {str(found).splitlines()[0]} {str(found).splitlines()[1].strip()}"


def main(arguments: Sequence[str]) -> int:
    """Compare every file of a folder; return 1 if a total or a layer differs, or a file is of no network here."""
    files = sorted(Path(arguments[0]).glob("*.json"))
    failed = not files
    for file in files:
        listed = json.loads(file.read_text())
        net = network(NAMES.get(listed["name"], listed["name"]))
        wrong = list(differences(listed, net))
        failed |= bool(wrong)
        say(
            f"{file.name}: {net.name}, {len(net.layers)} layers, {net.products:,} products",
            *wrong or ["as listed, to the unit"],
        )
        for reproduced, text in figures(listed, net):
            say("", f"{'reproduced' if reproduced else 'NOT reproduced'}: {text}")
    return int(failed)


def say(head: str, *lines: str) -> None:
    """Print a line, and what belongs to it below."""
    sys.stdout.writelines(f"{line}\n" for line in ([head] if head else []) + [f"  {line}" for line in lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
