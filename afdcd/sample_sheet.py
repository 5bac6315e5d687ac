"""Pictures for the report: image, truth, teacher and every student side by side."""

from pathlib import Path

from distill.compare import CompareConfig, variant_folder
from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets import open_dataset
from distill.evaluate import predict
from distill.networks.output import SegNetwork
from distill.pictures import draw_overlays
from distill.run import TrainingRun, load_student
from distill.teacher import load_teacher

SHEET_FILE = "samples.png"
IMAGES = 4


def draw_sample_sheet(output: Path, config: TrainConfig, compare: CompareConfig, seed: int) -> None:
    """Evenly spaced images of the report split, with masks of the teacher and of each variant of `seed`."""
    dataset = open_dataset(config.data, config.evaluation.report_on)
    compute = Compute.choose(config.compute)
    samples = [
        dataset[(2 * index + 1) * len(dataset) // (2 * IMAGES)] for index in range(min(IMAGES, len(dataset)))
    ]
    networks: dict[str, SegNetwork] = {}
    if config.teacher is not None and config.teacher.checkpoint is not None:
        networks["teacher"] = load_teacher(config.teacher, dataset.labels.num_classes, compute)
    for name in compare.variants:
        run = TrainingRun.open(variant_folder(output, name, seed))
        networks[name] = compute.place(load_student(run))
    masks = {
        name: [predict(network, [sample], compute, config.evaluation.size)[0] for sample in samples]
        for name, network in networks.items()
    }
    draw_overlays(output / SHEET_FILE, dataset.labels, samples, masks)
