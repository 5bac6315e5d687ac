"""Files of method `at`: attention transfer between two features."""

from distill.losses.attention import attention_transfer
from distill.replay.comparison import Comparison
from distill.replay.golden import Golden
from distill.replay.loss import compare_loss


def replay_at(golden: Golden) -> Comparison:
    """The loss, and its gradient with respect to the student's feature."""
    student = golden.input("student_feat", requires_grad=True)
    loss = attention_transfer(student, golden.input("teacher_feat"))
    return compare_loss(golden, loss, {"student": student})
