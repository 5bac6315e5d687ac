"""A labelled split and images without labels as one: what a student learns from when labels are few."""

from distill.datasets.dataset import Sample, SegDataset


class JoinedDataset:
    """A `SegDataset`: the samples of every part, one part after the other. Classes are those of the first."""

    def __init__(self, parts: tuple[SegDataset, ...]) -> None:
        self.parts = parts
        self.labels = parts[0].labels
        self.split = parts[0].split

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Sample:
        for part in self.parts:
            if 0 <= index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(f"{self.split} has {len(self)} samples.")
