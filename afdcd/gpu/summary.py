"""`summary.json` and `summary.md`: all steps of the proof on one page, rendered from their JSON files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from afdcd.gpu.record import StepRecord, record_path
from modelpack.atomic import write_json, write_text

SUMMARY_FILE = "summary.json"
MARKDOWN_FILE = "summary.md"


def write_summary(out: Path, steps: Iterable[str]) -> None:
    """Of those of `steps` that left a JSON in `out`."""
    found = {name: StepRecord.read(record_path(out, name)) for name in steps}
    records = {name: record for name, record in found.items() if record is not None}
    write_json(
        out / SUMMARY_FILE,
        {
            "steps": {
                name: {
                    "status": record.status,
                    "reason": record.reason,
                    "started": record.started,
                    "seconds": record.seconds,
                    "file": record_path(out, name).name,
                    "gpu": record.gpu,
                    "code": record.environment.get("code"),
                }
                for name, record in records.items()
            }
        },
    )
    write_text(out / MARKDOWN_FILE, render(records))


def render(records: Mapping[str, StepRecord]) -> str:
    """Markdown: where, how each step went, then every step's results."""
    lines = ["# What a GPU proved", "", "Made by `make gpu`; each step's JSON holds all of it.", ""]
    lines += _table(
        [
            {
                "step": name,
                "status": record.status,
                "seconds": record.seconds,
                "gpu": ", ".join(gpu["name"] for gpu in record.gpu) or "none",
                "code": record.environment.get("code", ""),
                "reason": record.reason,
            }
            for name, record in records.items()
        ]
    )
    for name, record in records.items():
        if record.result:
            lines += ["", f"## {name}", "", *_results(record.result)]
    return "\n".join(lines) + "\n"


def _results(result: Mapping[str, Any]) -> list[str]:
    """Lists of mappings as tables, everything else as items; what is nested deeper stays in the JSON."""
    lines: list[str] = []
    for key, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines += ["", f"{_words(key)}:", "", *_table(value), ""]
        elif isinstance(value, Mapping):
            flat = [f"{_words(name)} {_text(entry)}" for name, entry in value.items() if _is_plain(entry)]
            lines.append(f"- {_words(key)}: {', '.join(flat)}")
        elif _is_plain(value):
            lines.append(f"- {_words(key)}: {_text(value)}")
    return lines


def _table(rows: list[Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if _is_plain(value)))
    lines = ["| " + " | ".join(map(_words, columns)) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [_text(row.get(column, "")).replace("|", "\\|") for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).split())


def _words(key: str) -> str:
    return key.replace("_", " ")
