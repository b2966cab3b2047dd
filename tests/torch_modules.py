"""PyTorch modules that are awkward to count, with the shapes of what they take."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations


class Taken(NamedTuple):
    """A module and the shapes of its inputs."""

    module: nn.Module
    shapes: tuple[tuple[int, ...], ...]


class Residual(nn.Module):
    """Two branches of different kernels that are added; pooling before them."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, (5, 3), padding=(2, 1), bias=False)
        self.shortcut = nn.Conv2d(3, 8, 1, stride=2)
        self.last = nn.Conv2d(8, 4, 3, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        y: Tensor = self.last(functional.relu(self.conv2(self.norm(self.conv1(x)))) + self.shortcut(x))
        return y


class Shared(nn.Module):
    """A convolution that runs twice on the same shape, and a head that runs on two shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 6, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.twice(self.twice(x).relu_())
        return self.head(x), self.head(functional.max_pool2d(x, 2))


class Functional(nn.Module):
    """No module in sight, and weights that belong to the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 3, 3, 3))
        self.matrix = nn.Parameter(torch.ones(10, 6))
        self.projection = nn.Parameter(torch.ones(10, 2))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.conv2d(x, self.weight, stride=2).mean((2, 3))
        return functional.linear(y, self.matrix) @ self.projection


class Subclassed(nn.Conv2d):
    """A convolution whose weights are standardised each time it runs."""

    def forward(self, x: Tensor, /) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Grouped(nn.Module):
    """A stack of matrices, one for each group of channels, and learned vectors that go through a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices = nn.Parameter(torch.ones(4, 5, 7))
        self.queries = nn.Parameter(torch.ones(9, 7))
        self.layer = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.bmm(x.reshape(-1, 4, 5).transpose(0, 1), self.matrices)
        z: Tensor = self.layer(y).sum() + self.layer(self.queries)
        return z


class Padded(nn.Module):
    """Zeros, and other pixels, that functions put around an image."""

    def __init__(self) -> None:
        super().__init__()
        self.even = nn.Conv2d(3, 4, 4, padding="same")
        self.after = nn.Conv2d(4, 5, 3, stride=2, padding=(0, 1))
        self.mirrored = nn.Conv2d(5, 6, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mirrored(self.after(functional.pad(self.even(x), (0, 1, 2, 3))))
        return y


class Attention(nn.Module):
    """A transformer's layer behind a convolution, a recurrent layer, and a convolution of three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.recurrent = nn.LSTM(8, 4, batch_first=True)
        self.volume = nn.Conv3d(1, 2, 3)

    def forward(self, x: Tensor) -> tuple[Any, Tensor]:
        y = self.encoder(self.patches(x).flatten(2).transpose(1, 2))
        return self.recurrent(y), self.volume(y.reshape(2, 1, 4, 4, 8))


class Inferring(nn.Conv2d):
    """A convolution that runs in inference mode, where PyTorch does not take operators apart before they are seen."""

    @torch.inference_mode()
    def forward(self, x: Tensor, /) -> Tensor:
        return functional.max_pool2d(super().forward(x), 2).flatten(1)


class Dynamic(nn.Module):
    """Filters that the input makes."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = nn.Linear(4, 2 * 4 * 9)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.maker(x.mean((0, 2, 3))).reshape(2, 4, 3, 3))


MODULES = {
    "residual": Taken(Residual(), ((2, 3, 33, 31),)),
    "shared": Taken(Shared(), ((1, 4, 12, 10),)),
    "functional": Taken(Functional(), ((2, 3, 9, 9),)),
    "subclassed": Taken(nn.Sequential(Subclassed(4, 6, 3, groups=2)), ((1, 4, 7, 8),)),
    "weight norm": Taken(nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3))), ((1, 3, 7, 8),)),
    "orthogonal": Taken(
        nn.Sequential(nn.Conv2d(3, 4, 3), parametrizations.orthogonal(nn.Linear(6, 5))), ((1, 3, 7, 8),)
    ),
    "transposed": Taken(
        nn.Sequential(
            nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
            nn.ConvTranspose2d(
                6, 3, (2, 3), stride=(2, 1), padding=(1, 0), dilation=(3, 1), output_padding=(2, 0), bias=False
            ),
        ),
        ((2, 4, 5, 6),),
    ),
    "outgrown": Taken(
        nn.Sequential(
            nn.Conv2d(4, 6, 3), nn.ConvTranspose2d(6, 3, (2, 3), stride=(2, 1), dilation=(3, 1), output_padding=(2, 0))
        ),
        ((2, 4, 5, 6),),
    ),
    "one axis": Taken(
        nn.Sequential(
            nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2),
            nn.ConvTranspose1d(6, 4, 4, stride=2, padding=1),
            nn.ZeroPad1d((2, 0)),
            nn.Conv1d(4, 4, 3, dilation=2),
        ),
        ((2, 4, 20),),
    ),
    "depthwise": Taken(
        nn.Sequential(
            nn.Conv2d(4, 8, 3, dilation=(2, 1), groups=4), nn.Conv2d(8, 5, 1), nn.Flatten(), nn.Linear(5 * 4 * 6, 3)
        ),
        ((2, 4, 8, 8),),
    ),
    "inferring": Taken(nn.Sequential(Inferring(3, 4, 3)), ((1, 3, 8, 8),)),
    "unbatched": Taken(nn.Sequential(nn.Conv2d(4, 3, 3)), ((4, 8, 8),)),
    "vectors": Taken(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4, bias=False)), ((2, 7, 6),)),
    "grouped": Taken(Grouped(), ((3, 20),)),
    "padded": Taken(Padded(), ((1, 3, 11, 9),)),
    "attention": Taken(Attention(), ((2, 3, 16, 16),)),
    "dynamic": Taken(Dynamic(), ((1, 4, 8, 8),)),
}
