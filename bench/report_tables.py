"""The tables of a latency report: what was measured, how fast it was, and what is claimed of it."""

from bench.report_conditions import machine, stages, warm_ups
from bench.result import BenchResult, CaseResult
from bench.statistics import PERCENTILES
from bench.table import Table
from bench.wording import figure, interval, mebibytes, miou_text, percentile_cell, threads_text


def summary(result: BenchResult) -> Table:
    """The one table to look at first."""
    return Table(
        title="Latency and throughput",
        caption="Latency of the whole batch, throughput of one caller, peak memory of its process; "
        "size and mIoU are those of the very file.",
        columns=(
            "session",
            "boundary",
            "batch",
            "runs",
            *_percentile_names("ms"),
            "images/s",
            "peak MiB",
            "file MiB",
            "mIoU",
        ),
        rows=tuple(
            (
                *_case_cells(case),
                str(case.samples),
                *(percentile_cell(entry, with_interval=False) for entry in case.percentiles),
                figure(case.images_per_second),
                mebibytes(case.peak_memory_bytes),
                mebibytes(result.session(case.session).size_bytes),
                miou_text(result.session(case.session).miou()),
            )
            for case in result.cases
        ),
        text_columns=2,
    )


def speedups(result: BenchResult) -> Table:
    return Table(
        title="Speed against the baseline",
        caption="Median of the baseline over the session's own: above 1 is faster.",
        columns=("session", "baseline", "boundary", "batch", "times as fast", "95% interval"),
        rows=tuple(
            (
                entry.session,
                entry.baseline,
                entry.boundary,
                str(entry.batch),
                figure(entry.speedup.value) if entry.speedup.is_different else "no difference",
                interval(entry.speedup.lower, entry.speedup.upper),
            )
            for entry in result.comparisons
        ),
        text_columns=3,
    )


def intervals(result: BenchResult) -> Table:
    return Table(
        title="Percentiles with their intervals",
        caption="ms; 95% intervals between order statistics of the raw samples.",
        columns=("session", "boundary", "batch", *_percentile_names(), "mean", "deviation", "min", "max"),
        rows=tuple(
            (
                *_case_cells(case),
                *(percentile_cell(entry, with_interval=True) for entry in case.percentiles),
                figure(case.mean_ms),
                figure(case.deviation_ms),
                figure(case.min_ms),
                figure(case.max_ms),
            )
            for case in result.cases
        ),
        text_columns=2,
    )


def sessions(result: BenchResult) -> Table:
    return Table(
        title="What was measured",
        caption="One process per session. Loading includes the import of the runtime.",
        columns=(
            "session",
            "package",
            "artifact",
            "precision",
            "runtime",
            "provider",
            "device",
            "threads",
            "input",
            "sha256",
            "file MiB",
            "loading ms",
        ),
        rows=tuple(
            (
                entry.name,
                f"{entry.package_name} {entry.package_version}",
                entry.artifact,
                entry.precision,
                entry.runtime,
                entry.provider,
                entry.device,
                threads_text(entry.threads),
                f"{entry.input_size[0]} x {entry.input_size[1]}",
                entry.sha256[:12],
                mebibytes(entry.size_bytes),
                figure(entry.open_ms),
            )
            for entry in result.sessions
        ),
        text_columns=10,
    )


def claims(result: BenchResult) -> Table:
    return Table(
        title="Accuracy of the same files",
        caption="Measured by export, from the manifest of the artifact with the sha256 below.",
        columns=("session", "measure", "dataset", "split", "device", "size", "images", "value"),
        rows=tuple(
            (
                entry.name,
                claim.name,
                claim.dataset,
                claim.split,
                claim.device,
                f"{claim.image_size[0]} x {claim.image_size[1]}",
                str(claim.images),
                figure(claim.value, digits=4),
            )
            for entry in result.sessions
            for claim in entry.claims
        ),
        text_columns=6,
    )


def all_tables(result: BenchResult) -> list[Table]:
    """Every table that has rows, the most important first."""
    makers = (summary, speedups, stages, claims, intervals, warm_ups, machine, sessions)
    built = (make(result) for make in makers)
    return [table for table in built if table.rows]


def _percentile_names(unit: str = "") -> tuple[str, ...]:
    return tuple(f"p{percent} {unit}".strip() for percent in PERCENTILES)


def _case_cells(case: CaseResult) -> tuple[str, str, str]:
    return case.session, case.boundary, str(case.batch)
