"""What was measured along a run: one row per evaluation, as CSV and for TensorBoard."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from modelpack.atomic import write_text

Row = dict[str, float]

CSV_FILE = "results.csv"
TENSORBOARD_FOLDER = "tensorboard"


class History:
    """Rows in the order of their steps; only one of several processes writes them.

    The file is rewritten whole, so a resumed run never doubles a row.
    """

    def __init__(
        self, folder: Path, rows: Sequence[Mapping[str, Any]] = (), *, is_written: bool = True
    ) -> None:
        self.rows: list[Row] = [dict(row) for row in rows]
        self._path = folder / CSV_FILE
        last_step = int(self.rows[-1]["step"]) if self.rows else 0
        self._board = (
            SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=last_step + 1) if is_written else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()

    def add(self, row: Row) -> None:
        """row: `step` and any named numbers; `loss/...` and `iou/...` become groups in TensorBoard."""
        self.rows.append(row)
        if self._board is None:
            return
        write_text(self._path, to_csv(self.rows))
        for key, value in row.items():
            if key != "step":
                self._board.add_scalar(key, value, int(row["step"]))


def to_csv(rows: Sequence[Row]) -> str:
    """CSV with the union of all columns, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
    return buffer.getvalue()
