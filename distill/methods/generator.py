"""The student's way to the teacher's features: align the channels, erase pixels, generate them back.

Source: the authors' Af-DCD code. Trained with the student and thrown away after it. Convolutions have biases,
no normalisation, the framework's initial weights, and no activation at the end.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from distill.methods.grid import onto_grid

GeneratorName = Literal["plain", "enhanced", "none"]


class PlainGenerator(nn.Sequential):
    """3x3 convolution, ReLU, 3x3 convolution, all of one width."""

    def __init__(self, channels: int) -> None:
        super().__init__(_conv3x3(channels), nn.ReLU(), _conv3x3(channels))


class EnhancedGenerator(nn.Module):
    """Two 3x3 convolutions with ReLU in a row; the mean of one more on each is the result."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv3x3(channels)
        self.second = _conv3x3(channels)
        self.from_first = _conv3x3(channels)
        self.from_second = _conv3x3(channels)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.first(x))
        second = F.relu(self.second(first))
        result: Tensor = (self.from_first(first) + self.from_second(second)) / 2
        return result


GENERATORS: dict[GeneratorName, type[nn.Module]] = {
    "plain": PlainGenerator,
    "enhanced": EnhancedGenerator,
    "none": nn.Identity,
}


class StudentPath(nn.Module):
    """Align -> resize to the teacher's grid -> mask -> generator."""

    def __init__(self, align: nn.Module, generator: nn.Module) -> None:
        super().__init__()
        self.align = align
        self.generator = generator

    @classmethod
    def build(cls, student_channels: int, teacher_channels: int, generator: GeneratorName) -> "StudentPath":
        """Equal widths need no alignment and get none."""
        align: nn.Module = nn.Identity()
        if student_channels != teacher_channels:
            align = nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
        return cls(align, GENERATORS[generator](teacher_channels))

    def forward(
        self,
        feature: Tensor,
        mask: Tensor | None,
        *,
        covers: tuple[int, int],
        grid: tuple[int, int],
        grid_covers: tuple[int, int],
    ) -> Tensor:
        """(N, C_student, h, w) to (N, C_teacher, *grid). mask: (N or 1, 1, *grid). Sizes: see `onto_grid`."""
        aligned = onto_grid(self.align(feature), covers=covers, grid=grid, grid_covers=grid_covers)
        if mask is not None:
            aligned = aligned * mask.to(aligned.dtype)
        generated: Tensor = self.generator(aligned)
        return generated


def _conv3x3(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=3, padding=1)
