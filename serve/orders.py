"""What one process does when all are asked to. The table of orders."""

from typing import Any

from serve.control import Execute, Order
from serve.exposition import families
from serve.metrics import Metrics
from serve.mirror.mirrors import Mirrors
from serve.oip.statistics import Statistics
from serve.repository import Repository


class Orders:
    """Carries out what any process of the service may ask of all."""

    def __init__(
        self, metrics: Metrics, repository: Repository, statistics: Statistics, mirrors: Mirrors
    ) -> None:
        self._metrics = metrics
        self._repository = repository
        self._statistics = statistics
        self._table: dict[str, Execute] = {
            "metrics": self._tell_metrics,
            "v2_statistics": self._tell_statistics,
            **repository.orders,
            **mirrors.orders,
        }

    async def execute(self, order: Order) -> dict[str, Any]:
        return await self._table[order["do"]](order)

    async def _tell_metrics(self, order: Order) -> dict[str, Any]:
        return {"families": families(self._metrics.registry)}

    async def _tell_statistics(self, order: Order) -> dict[str, Any]:
        return {"models": self._statistics.tell(self._repository.all())}
