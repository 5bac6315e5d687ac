"""docs/faults.md names tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "test"), ROWS, ids=[test for _, test in ROWS])
def test_each_row_has_its_test(file, test):
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")
