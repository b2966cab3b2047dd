"""All mistakes that the judge knows, in the order in which it looks for them."""

from npconv.judge import faults_of_axes, faults_of_groups, faults_of_values, faults_of_weights
from npconv.judge.fault import Family, Fault

_ROOMS = (faults_of_weights, faults_of_axes, faults_of_groups, faults_of_values)

FAULTS: tuple[Fault, ...] = tuple(fault for room in _ROOMS for fault in room.FAULTS)
FAMILIES: tuple[Family, ...] = tuple(
    family for room in (faults_of_weights, faults_of_groups, faults_of_values) for family in room.FAMILIES
)
