"""hey: keep-alive workers, every response time as one line of CSV."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np

from bench.load.against.visit import Visit, find_tool, output_of
from bench.load.target import HttpTarget

MS_PER_S = 1e3


def run_hey(target: HttpTarget, clients: int, seconds: float) -> Visit:
    """One closed loop. Raises RuntimeUnavailableError, ToolError."""
    tool = find_tool("hey")
    body = target.bodies[0]
    with tempfile.TemporaryDirectory(prefix="afdcd-hey-") as folder:
        content = Path(folder, "body")
        content.write_bytes(body.content)
        options = ["-o", "csv", "-c", str(clients), "-z", f"{seconds:g}s", "-m", target.method]
        if body.content:
            options += ["-D", str(content)]
        if body.content_type:
            options += ["-T", body.content_type]
        for name, text in target.headers.items():
            options += ["-H", f"{name}: {text}"]
        rows = list(csv.DictReader(io.StringIO(output_of([tool, *options, target.url], seconds))))
    right = [row for row in rows if int(row["status-code"]) in target.expected_status]
    took_s = np.array([float(row["response-time"]) for row in right])
    ends_s = np.array([float(row["offset"]) + float(row["response-time"]) for row in right])
    seconds = float(ends_s.max()) if right else 0.0
    return Visit.of_samples("hey", took_s * MS_PER_S, seconds, len(rows) - len(right))
