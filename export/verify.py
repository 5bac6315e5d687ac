"""Everything that a package promises, tried again on the machine that this runs on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from export.verification.accuracy import check_data, check_miou, read_data_settings
from export.verification.answers import check_answers, places
from export.verification.check import Check, not_run
from export.verification.claims import check_claims
from export.verification.files import CHECK as FILE
from export.verification.files import check_files
from export.verification.graphs import check_graph
from export.verification.precision import check_precision
from export.verification.signature import check_signature
from modelpack.errors import GateError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.settings import StrictModel

Device = Literal["auto", "cpu", "cuda"]

_COLUMNS = ("check", "artifact", "runtime", "result", "detail")


class Verification(StrictModel):
    """The table: every check that was made, and those that could not be."""

    package: str
    checks: tuple[Check, ...]

    def count(self, result: Literal["pass", "FAIL", "not run"]) -> int:
        return sum(check.result == result for check in self.checks)

    def raise_if_failed(self) -> None:
        """Raises GateError naming every check that failed."""
        failed = [str(check) for check in self.checks if check.result == "FAIL"]
        if failed:
            raise GateError(
                f"package {self.package} is not what it promises. {'; '.join(failed)}. "
                "Do not use it; copy or build it again."
            )

    def __str__(self) -> str:
        rows = [_COLUMNS, *(tuple(getattr(check, name) for name in _COLUMNS) for check in self.checks)]
        widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
            for row in rows
        ]
        counts = f"{self.count('pass')} passed, {self.count('FAIL')} failed, {self.count('not run')} not run."
        return "\n".join([*lines, "", counts])


def verify(
    package_dir: Path,
    *,
    device: Device = "auto",
    threads: int = 0,
    trusted_keys: Sequence[str] = (),
    full: bool = False,
    data_root: Path | None = None,
) -> Verification:
    """Check files, signature, graphs, precision, claims and stored samples; nothing is raised for what fails.

    full: also measure the mIoU of every artifact in every runtime again, on the run's data (at `data_root`,
    where it moved). What this machine cannot run is `not run` with the reason.

    Raises PackageError for what is no package at all, DatasetError or SettingsError for data that is not
    there.
    """
    package = ModelPackage.open(package_dir, verify=False)
    checks = [*check_files(package), check_signature(package, trusted_keys)]
    damaged = {check.artifact for check in checks if (check.check, check.result) == (FILE, "FAIL")}
    for artifact in package.manifest.artifacts:
        checks.append(check_claims(package.manifest, artifact))
        if artifact.name in damaged:
            checks.append(not_run("graph", artifact.name, "its file is damaged"))
        else:
            checks.append(check_precision(package, artifact))
            checks += [*check_graph(package, artifact), *_runs(package, artifact, device, threads)]
    if full:
        checks += _accuracy(package, data_root, device, threads, damaged)
    return Verification(package=str(package_dir), checks=tuple(checks))


def _runs(package: ModelPackage, artifact: Artifact, device: Device, threads: int) -> Iterator[Check]:
    for place in places(package, artifact, device):
        yield check_answers(package, place, threads)


def _accuracy(
    package: ModelPackage, data_root: Path | None, device: Device, threads: int, damaged: set[str]
) -> Iterator[Check]:
    settings = read_data_settings(package, data_root)
    yield check_data(package, settings)
    for artifact in package.manifest.artifacts:
        if artifact.name not in damaged:
            for place in places(package, artifact, device):
                yield check_miou(package, place, settings, threads)
