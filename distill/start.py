"""The finished weights that a run starts from, noted when it begins: what it must not fall behind."""

from pathlib import Path
from typing import Any

from distill.run import RESULT_FILE, read_json
from distill.weights import weights_file
from modelpack.atomic import sha256_file

START_FILE = "start.json"
"""In the folder of a run with `student.init`."""
_KEPT = ("dataset", "split", "images", "image_size", "absent_classes", "miou", "iou_per_class")


def describe_start(init: Path) -> dict[str, Any]:
    """Path and sha256 of the weights; `network` and `report` (split, images, mIoU) where a run left them.

    Raises CheckpointError where there are none.
    """
    file = weights_file(init)
    result = read_json(init / RESULT_FILE) if (init / RESULT_FILE).is_file() else {}
    report = result.get("report")
    return {
        "path": str(init),
        "weights_sha256": sha256_file(file),
        "network": result.get("network"),
        "report": report and {key: report[key] for key in _KEPT},
    }
