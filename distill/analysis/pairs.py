"""Which feature of the student is compared with which of the teacher."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distill.methods.method import MethodSettings
from distill.networks.output import FeatureInfo
from modelpack.errors import SettingsError


@dataclass(frozen=True, order=True)
class FeaturePair:
    """Named features, as in `SegOutput.features`."""

    student: str
    teacher: str

    @property
    def name(self) -> str:
        """As `stage2`, or `stage2-stage4` where the teacher's has another name; fit for a file name."""
        return self.student if self.student == self.teacher else f"{self.student}-{self.teacher}"


def used_pairs(methods: Iterable[MethodSettings]) -> set[FeaturePair]:
    """Those that the methods compare themselves."""
    return {
        FeaturePair(student, teacher)
        for method in methods
        for student in method.student_features()
        for teacher in method.teacher_features()
    }


def find_pairs(
    student: Mapping[str, FeatureInfo], teacher: Mapping[str, FeatureInfo], used: Iterable[FeaturePair]
) -> list[FeaturePair]:
    """Every name that both networks have, in the student's order, then the used pairs of two names.

    Raises SettingsError where that leaves nothing to compare.
    """
    common = [FeaturePair(name, name) for name in student if name in teacher]
    mixed = sorted(pair for pair in set(used) - set(common) if pair.student in student)
    pairs = common + [pair for pair in mixed if pair.teacher in teacher]
    if not pairs:
        raise SettingsError(
            f"student ({', '.join(student)}) and teacher ({', '.join(teacher)}) have no feature of the same "
            "name, and no method compares two of theirs."
        )
    return pairs
