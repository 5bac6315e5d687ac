"""What one check of a package found."""

from typing import Literal

from modelpack.settings import StrictModel

PACKAGE = "(package)"
"""In place of an artifact's name, for what concerns all of them."""


class Check(StrictModel):
    """One line of the table that `afdcd export verify` ends with."""

    check: str
    artifact: str
    runtime: str = ""
    """Empty where nothing was run."""
    result: Literal["pass", "FAIL", "not run"]
    """`not run` proves nothing, and is never counted as passed."""
    detail: str
    """What was found and what was due."""

    def __str__(self) -> str:
        where = f"{self.artifact} in {self.runtime}" if self.runtime else self.artifact
        return f"{self.check} of {where}: {self.detail}"


def judged(check: str, artifact: str, is_right: bool, detail: str, runtime: str = "") -> Check:
    return Check(
        check=check, artifact=artifact, runtime=runtime, result="pass" if is_right else "FAIL", detail=detail
    )


def not_run(check: str, artifact: str, reason: str, runtime: str = "") -> Check:
    return Check(check=check, artifact=artifact, runtime=runtime, result="not run", detail=reason)
