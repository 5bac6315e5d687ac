"""How alike two networks answer: divergence of class probabilities, and where they name the same class."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from modelpack.labels import LabelSet
from modelpack.metrics import ConfusionMatrix


@dataclass
class Answers:
    """Sums over pixels of the network's input; labels play no part."""

    confusion: ConfusionMatrix
    """Rows are the classes that the teacher names."""
    divergence_sum: float = 0.0

    def update(self, student: Tensor, teacher: Tensor) -> None:
        """student, teacher: (N, K, H, W) logits at the size of the input."""
        log_student, log_teacher = (logits.float().log_softmax(1) for logits in (student, teacher))
        divergence = F.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
        self.divergence_sum += float(divergence)
        self.confusion.update(student.argmax(1).cpu().numpy(), teacher.argmax(1).cpu().numpy())

    def to_dict(self, labels: LabelSet) -> dict[str, Any]:
        """`kl` in nats per pixel, `agreement` and `agreement_per_class` in 0..1 (null: named by neither)."""
        counted = self.confusion.to_dict(labels)
        return {
            "kl": self.divergence_sum / counted["pixels"],
            "agreement": counted["pixel_accuracy"],
            "agreement_per_class": counted["iou_per_class"],
        }
