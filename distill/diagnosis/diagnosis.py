"""The doctor's report: a table of class shares per split, and the findings."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distill.diagnosis.finding import Finding
from distill.diagnosis.scan import Scan

_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Diagnosis:
    """Of the splits that could be opened, and of those that could not (they have a finding)."""

    dataset: str
    scans: Sequence[Scan]
    findings: Sequence[Finding]

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON. Shares are of all pixels, 0-1."""
        return {
            "dataset": self.dataset,
            "splits": [_facts(scan) for scan in self.scans],
            "findings": [asdict(finding) for finding in self.findings],
            "errors": len(self.errors),
        }

    def render(self) -> str:
        """Plain text, for a terminal."""
        findings = sorted(self.findings, key=lambda finding: _ORDER[finding.severity])
        lines = [f"dataset {self.dataset}", "", *_table(self.scans), ""]
        lines += [f"{finding.severity:<8}{finding}" for finding in findings]
        verdict = "no errors."
        if self.errors:
            verdict = f"{count_of_errors(len(self.errors))}: training will refuse this dataset."
        return "\n".join([*lines, verdict])


def count_of_errors(count: int) -> str:
    return f"{count} error{'s' * (count != 1)}"


def _facts(scan: Scan) -> dict[str, Any]:
    pixels = max(scan.pixels, 1)
    return {
        "split": scan.split,
        "images": scan.size,
        "looked_at": scan.looked_at,
        "sizes": [list(size) for size in sorted(scan.sizes)],
        "ignored_share": scan.ignored_pixels / pixels,
        "classes": [
            {"name": name, "share": int(count) / pixels, "images": int(images)}
            for name, count, images in zip(
                scan.labels.names, scan.class_pixels, scan.class_images, strict=True
            )
        ],
    }


def _table(scans: Sequence[Scan]) -> list[str]:
    """Rows are classes, columns splits; each cell is the share of all pixels."""
    if not scans:
        return ["(no split could be opened)"]
    rows = [
        ["class", *(scan.split for scan in scans)],
        *(
            [name, *(_percent(int(scan.class_pixels[index]), scan) for scan in scans)]
            for index, name in enumerate(scans[0].labels.names)
        ),
        ["(ignored)", *(_percent(scan.ignored_pixels, scan) for scan in scans)],
        ["images", *(_count(scan) for scan in scans)],
        ["height x width", *(_sizes(scan) for scan in scans)],
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _percent(count: int, scan: Scan) -> str:
    return f"{100 * count / scan.pixels:.2f} %" if count else "-"


def _count(scan: Scan) -> str:
    return str(scan.size) if scan.looked_at == scan.size else f"{scan.size} ({scan.looked_at} looked at)"


def _sizes(scan: Scan) -> str:
    if len(scan.sizes) > 1:
        return f"{len(scan.sizes)} sizes"
    return " ".join(f"{height}x{width}" for height, width in scan.sizes) or "-"
