"""The judge: whether a convolution that anything may have computed is right, with a proof where it is wrong, and the mistake named."""

from npconv.judge.model import MODELS, Model
from npconv.judge.verdict import Verdict

__all__ = ["MODELS", "Model", "Verdict"]
