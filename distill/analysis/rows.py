"""From one entry for each student to one row for each variant: means over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.comparison import mean_and_deviation

MEASURES = {
    "cka_debiased": "linear CKA",
    "distance": "distance after the best 1x1 map",
    "self_similarity_distance": "distance of local self-similarities",
}
"""What tables and pictures show of each pair of features."""
ANSWERS = {"kl": "KL (nats)", "agreement": "agreement (%)"}


def rows_of(students: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """In the order in which they first come; null where no seed has a value.

    Each: `row`, `state`, `teacher`, `seeds`, and `[mean, deviation]` over seeds of `features` (per pair and
    measure), `answers` and `agreement_per_class`.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for student in students:
        groups.setdefault((student["teacher"], student["row"]), []).append(student)
    return [
        {
            "row": row,
            "state": group[0]["state"],
            "teacher": teacher,
            "seeds": [student["seed"] for student in group],
            "features": {
                pair: {
                    measure: _mean([student["features"][pair][measure] for student in group])
                    for measure in MEASURES
                }
                for pair in group[0]["features"]
            },
            "answers": {name: _mean([student["answers"][name] for student in group]) for name in ANSWERS},
            "agreement_per_class": {
                name: _mean([student["answers"]["agreement_per_class"][name] for student in group])
                for name in group[0]["answers"]["agreement_per_class"]
            },
        }
        for (teacher, row), group in groups.items()
    ]


def title_of(row: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The row's name, and its teacher's where there are several."""
    return str(row["row"]) if len(result["teachers"]) == 1 else f"{row['row']}, teacher {row['teacher']}"


def value_of(row: Mapping[str, Any], pair: str, measure: str) -> Sequence[float] | None:
    """(mean, deviation), or None where it is not defined or the row's teacher does not have the feature."""
    found: Sequence[float] | None = row["features"].get(pair, {}).get(measure)
    return found


def _mean(values: Sequence[float | None]) -> tuple[float, float | None] | None:
    there = [value for value in values if value is not None]
    return mean_and_deviation(there) if there else None
