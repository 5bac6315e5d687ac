"""The student's way to the teacher's features: align the channels, erase pixels, generate them back.

Source: the authors' Af-DCD code. Trained with the student and thrown away after it.
"""

from torch import Tensor, nn

from distill.losses.reduce import Reduce
from distill.methods.generator import build_generator
from distill.methods.grid import onto_grid

WHOLE_MAP = (1, 1)
"""Patch of a map that is pooled and not cropped."""


class StudentPath(nn.Module):
    """Align -> resize to the teacher's grid -> pool, if asked to (not published) -> mask -> generator."""

    def __init__(self, align: nn.Module, generator: nn.Module, pool: Reduce | None = None) -> None:
        super().__init__()
        self.align = align
        self.generator = generator
        self.pool = pool

    @classmethod
    def build(
        cls, student_channels: int, teacher_channels: int, generator: str, pool: Reduce | None = None
    ) -> "StudentPath":
        """Equal widths need no alignment and get none. generator: see `build_generator`."""
        align: nn.Module = nn.Identity()
        if student_channels != teacher_channels:
            align = nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
        return cls(align, build_generator(generator, teacher_channels), pool)

    def forward(
        self,
        feature: Tensor,
        mask: Tensor | None,
        *,
        covers: tuple[int, int],
        grid: tuple[int, int],
        grid_covers: tuple[int, int],
    ) -> Tensor:
        """(N, C_student, h, w) to (N, C_teacher, *grid), or to the pooled grid, on which the mask is too.

        mask: (N or 1, 1, height, width). Sizes: see `onto_grid`.
        """
        aligned = onto_grid(self.align(feature), covers=covers, grid=grid, grid_covers=grid_covers)
        if self.pool is not None:
            aligned = self.pool(aligned, WHOLE_MAP)
        if mask is not None:
            aligned = aligned * mask.to(aligned.dtype)
        generated: Tensor = self.generator(aligned)
        return generated
