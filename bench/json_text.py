"""JSON for people and programs: indented, with every list of numbers on one line."""

import json
import re
from typing import Any

_NUMBERS = re.compile(r"\[\s*((?:-?[\d.e+-]+,\s*)*-?[\d.e+-]+)\s*\]")
"""A JSON list of numbers, however it is laid out."""


def json_text(values: Any) -> str:
    """Raw samples, one per line, would fill thousands."""
    text = json.dumps(values, indent=2, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n"
