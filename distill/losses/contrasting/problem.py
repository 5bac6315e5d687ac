"""What a backend of omni-contrasting is asked for, and what it gives back."""

from typing import Literal, NamedTuple

from torch import Tensor

Negatives = Literal["cross_group", "all"]
"""`cross_group` (published code): rows of other groups, at any pixel. `all`: every row but the positive."""

Distance = Literal["l1", "l2"]


class Problem(NamedTuple):
    """Maps that are known to divide into patches and groups.

    Rows of a patch are numbered group by group and, within a group, pixel by pixel.
    """

    student: Tensor
    """(N, C, H, W), any float dtype and strides; outside the graph, like `teacher`."""
    teacher: Tensor
    inverse_temperature: Tensor
    """(N,), float64 if a map is, else float32."""
    groups: int
    patch: tuple[int, int]
    negatives: Negatives
    distance: Distance
    wants_student: bool
    """Whether the gradient of the student's map is asked for."""
    wants_teacher: bool

    @property
    def pixels(self) -> int:
        """Of a patch."""
        return self.patch[0] * self.patch[1]

    @property
    def rows(self) -> int:
        """Of a patch."""
        return self.groups * self.pixels

    @property
    def row_channels(self) -> int:
        return self.student.shape[1] // self.groups

    @property
    def patches(self) -> int:
        """Of all images; row by row and image by image."""
        return self.student.shape[0] * self.student.shape[2] * self.student.shape[3] // self.pixels


class Answer(NamedTuple):
    """The sum of all row losses, and its gradients by the maps where they are wanted.

    total: (). Gradients: (N, C, H, W). All in the dtype of `inverse_temperature`.
    """

    total: Tensor
    grad_student: Tensor | None
    grad_teacher: Tensor | None
