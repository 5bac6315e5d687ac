"""Files of method `ifvd`: intra-class feature variation, with labels at the size of the images."""

from distill.losses.intra_class import intra_class_variation
from distill.methods.label_grid import labels_on_grid
from distill.replay.comparison import Comparison
from distill.replay.golden import Golden
from distill.replay.loss import compare_loss


def replay_ifvd(golden: Golden) -> Comparison:
    """The loss with labels resized as published, and its gradient with respect to the student's feature."""
    student = golden.input("student_feat", requires_grad=True)
    target = golden.raw("target")
    labels = labels_on_grid(
        target,
        covers=(target.shape[1], target.shape[2]),
        grid=(student.shape[2], student.shape[3]),
    )
    loss = intra_class_variation(
        student, golden.input("teacher_feat"), labels, num_classes=golden.meta["num_classes"]
    )
    return compare_loss(golden, loss, {"student": student})
