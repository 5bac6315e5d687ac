"""`report.html`: one self-contained page that says what a chain made and how good it is."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.report_facts import first_reasons
from bench.result import BenchResult, Comparison
from distill.compare import COMPARE_FOLDER, TEACHER_FOLDER, read_comparison
from distill.compare_report import baselines
from modelpack.atomic import write_text
from modelpack.environment import fingerprint
from modelpack.package import ModelPackage

REPORT_FILE = "report.html"
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml", ".webp": "image/webp"}


def write_report(output: Path, recipe: str) -> None:
    """Render what the stages left below `output`. Every number comes from their JSON files."""
    environment = Environment(
        loader=PackageLoader("afdcd", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"image": partial(embedded, output), "percent": _percent, "mib": _mib}
    comparison = read_comparison(output / COMPARE_FOLDER)
    teacher_curves = f"{TEACHER_FOLDER}/results.png"
    latency = BenchResult.read(output / "bench" / "latency.json")
    page = environment.get_template("report.html.jinja").render(
        recipe=recipe,
        output=output,
        comparison=comparison,
        others=baselines(comparison),
        headline=headline(comparison),
        teacher_curves=teacher_curves if (output / teacher_curves).is_file() else None,
        student_curves=[
            (row["variant"], f"{COMPARE_FOLDER}/{row['variant']}-seed{comparison['seeds'][0]}/results.png")
            for row in comparison["rows"]
        ],
        packages=[
            ModelPackage.open(output / name).manifest
            for name in ("package", "package-teacher")
            if (output / name).is_dir()
        ],
        latency=latency,
        fastest=fastest(latency),
        reasons=first_reasons(latency.verdict),
        served=json.loads((output / "served" / "served.json").read_text(encoding="utf-8")),
        stats=json.loads((output / "served" / "stats.json").read_text(encoding="utf-8")),
        stages=_stage_seconds(output),
        environment=fingerprint(),
    )
    write_text(output / REPORT_FILE, page)


def headline(comparison: dict[str, Any]) -> dict[str, Any]:
    """The last variant against the first: what was won, and whether the interval leaves out 0."""
    first, last = comparison["rows"][0], comparison["rows"][-1]
    won = last["difference"].get(first["variant"])
    return {
        "first": first,
        "last": last,
        "won": won,
        "is_clear": bool(won) and (won["low"] > 0 or won["high"] < 0),
    }


def fastest(latency: BenchResult) -> Comparison | None:
    """Of all sessions, the one that is furthest ahead of the baseline with the smallest batch."""
    found = [
        comparison
        for comparison in latency.comparisons
        if (comparison.boundary, comparison.batch) == ("graph", latency.smallest_batch)
    ]
    return max(found, key=lambda comparison: comparison.speedup.value, default=None)


def embedded(folder: Path, name: str) -> str:
    """A picture as a data URL."""
    path = folder / name
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{MEDIA_TYPES[path.suffix]};base64,{content}"


def _stage_seconds(output: Path) -> dict[str, float]:
    entries = json.loads((output / "chain.json").read_text(encoding="utf-8"))
    return {name: entry["seconds"] for name, entry in entries.items() if entry["seconds"] is not None}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):.1f} MiB"
