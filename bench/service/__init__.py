"""Our service beside a naive endpoint on the same graph and the same work in process: what HTTP costs."""

from bench.service.config import ServiceConfig
from bench.service.result import ServiceResult
from bench.service.run import run_service

__all__ = ["ServiceConfig", "ServiceResult", "run_service"]
