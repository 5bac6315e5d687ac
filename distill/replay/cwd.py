"""Files of methods `cwd logits` and `cwd feature`: channel-wise distillation, aligned where widths differ."""

from torch.nn import functional as F

from distill.losses.channel_wise import channel_wise
from distill.replay.comparison import Comparison
from distill.replay.golden import Golden
from distill.replay.loss import compare_loss


def replay_cwd_logits(golden: Golden) -> Comparison:
    """The loss and its gradient, and the loss that keeps the teacher's entropy."""
    student = golden.input("student_logits", requires_grad=True)
    teacher = golden.input("teacher_logits")
    temperature = golden.meta["temperature"]
    loss = channel_wise(student, teacher, temperature=temperature)
    comparison = compare_loss(golden, loss, {"student": student})
    name = "loss_cross_entropy_form"
    if golden.has(name):
        with_entropy = channel_wise(student, teacher, temperature=temperature, form="cross_entropy")
        comparison.add("loss", name, with_entropy, golden.reference(name))
    return comparison


def replay_cwd_feature(golden: Golden) -> Comparison:
    """The loss with CIRKD's divisor, the student's width before the aligner, and its gradients."""
    student = golden.input("student_feat", requires_grad=True)
    leaves, aligned = {"student": student}, student
    if "align_weight" in golden.arrays:
        leaves["align_weight"] = golden.input("align_weight", requires_grad=True)
        aligned = F.conv2d(student, leaves["align_weight"])
    loss = channel_wise(
        aligned,
        golden.input("teacher_feat"),
        temperature=golden.meta["temperature"],
        channels=student.shape[1],
    )
    return compare_loss(golden, loss, leaves)
