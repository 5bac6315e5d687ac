"""Files of method `fitnet`: the hint loss behind the 1x1 convolution on file."""

from torch.nn import functional as F

from distill.losses.hint import hint
from distill.replay.comparison import Comparison
from distill.replay.golden import Golden
from distill.replay.loss import compare_loss


def replay_fitnet(golden: Golden) -> Comparison:
    """The loss; its gradients with respect to the student's feature and to the convolution."""
    student = golden.input("student_feat", requires_grad=True)
    weight = golden.input("align_weight", requires_grad=True)
    loss = hint(F.conv2d(student, weight), golden.input("teacher_feat"))
    return compare_loss(golden, loss, {"student": student, "align_weight": weight})
