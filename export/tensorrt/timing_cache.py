"""Kernel times that TensorRT measured in earlier builds, kept in a file so that it need not measure again."""

from pathlib import Path
from typing import Any

from modelpack.atomic import write_bytes


def load_timing_cache(builder_config: Any, file: Path) -> None:
    """Let the build know what the file holds; a file that is not there yet is an empty cache."""
    known = file.read_bytes() if file.is_file() else b""
    timing_cache = builder_config.create_timing_cache(known)
    builder_config.set_timing_cache(timing_cache, False)  # False: times of another GPU are of no use


def save_timing_cache(builder_config: Any, file: Path) -> None:
    """What is known after the build."""
    timing_cache = builder_config.get_timing_cache()
    write_bytes(file, bytes(timing_cache.serialize()))
