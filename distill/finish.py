"""Close a run: the final number on the report split, pictures, and `result.json` as the last file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.compute import Compute
from distill.config import TrainConfig
from distill.data_list import list_data
from distill.datasets.dataset import SegDataset
from distill.distributed import Processes
from distill.evaluate import evaluate, predict
from distill.history import Row
from distill.pictures import draw_confusion, draw_curves, draw_overlays
from distill.preparation.stage import PREPARED_FILE
from distill.run import RESULT_FILE, STATE_FILE, student_network
from distill.start import START_FILE
from distill.teacher import TEACHER_FILE
from distill.training_data import data_to_learn_from
from distill.weights import STUDENT_FILE, load_weights
from modelpack.atomic import sha256_file, write_json, write_with
from modelpack.environment import fingerprint

PER_IMAGE_FILE = "per_image.npz"
"""`counts`: (images, 3, num_classes) pixels of intersection, prediction and target, for resampling images."""
OVERLAYS = 6
"""Images on the overlay sheet, evenly spaced over the split."""


def finish(
    config: TrainConfig,
    folder: Path,
    dataset: SegDataset,
    compute: Compute,
    processes: Processes,
    best: Mapping[str, float],
    rows: Sequence[Row],
) -> None:
    """Measure the kept weights on all of `dataset`, the report split; write result, pictures and counts."""
    network = student_network(config.student, dataset.labels.num_classes)
    processes.wait()
    load_weights(network, folder / STUDENT_FILE)
    compute.place(network)
    options = config.evaluation
    measured = evaluate(
        network, dataset, compute, size=options.size, batch=options.batch, processes=processes
    )
    if not processes.is_main:
        processes.wait()
        return
    labels, confusion = dataset.labels, measured.confusion
    chosen = [dataset[index * len(dataset) // OVERLAYS] for index in range(min(OVERLAYS, len(dataset)))]
    predictions = [predict(network.eval(), [sample], compute, options.size)[0] for sample in chosen]
    draw_overlays(folder / "overlays.png", labels, chosen, {"prediction": predictions})
    draw_confusion(folder / "confusion.png", labels, confusion.counts)
    draw_curves(folder / "results.png", rows)
    write_with(folder / PER_IMAGE_FILE, lambda temporary: _save_counts(temporary, measured.per_image))
    result = {
        "name": config.name,
        "seed": config.seed,
        "network": config.student.network,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "methods": [method.model_dump(mode="json") for method in config.methods],
        "steps": config.optim.steps,
        "selection": {"split": options.select_on, "step": best["step"], "miou": best["miou"]},
        "report": {
            "dataset": config.data.name,
            "split": measured.split,
            "images": measured.images,
            "image_size": list(options.size) if options.size else "native",
            "absent_classes": options.absent,
            **confusion.to_dict(labels),
            "miou": confusion.miou(options.absent),
        },
        "data": {split: entry.model_dump() for split, entry in list_data(data_to_learn_from(config)).items()},
        "teacher": _written_before(folder / TEACHER_FILE),
        "started_from": _written_before(folder / START_FILE),
        "prepared": _written_before(folder / PREPARED_FILE),
        "precision": str(compute.dtype).removeprefix("torch."),
        "device": str(compute.device),
        "processes": processes.world_size,
        "weights_sha256": sha256_file(folder / STUDENT_FILE),
        "environment": fingerprint(),
    }
    write_json(folder / RESULT_FILE, result)
    (folder / STATE_FILE).unlink(missing_ok=True)
    processes.wait()


def _written_before(path: Path) -> Any:
    """What the run noted when it began; None where there was nothing to note."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _save_counts(path: Path, counts: NDArray[np.int64]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, counts=counts.astype(np.int32))
