"""Load on a URL or a package: what clients would see, and whether the figures can be believed."""

from bench.load.config import LoadConfig
from bench.load.result import LoadResult
from bench.load.run import run_load

__all__ = ["LoadConfig", "LoadResult", "run_load"]
