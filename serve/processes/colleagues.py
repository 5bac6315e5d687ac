"""A worker's way to all others: through the supervisor, over one link."""

import asyncio
import itertools
import logging
from typing import Any

from modelpack.errors import SegError
from serve.control import Execute, Order, Outcome
from serve.errors import ControlError
from serve.processes.link import Link, LinkClosedError, LinkFullError, Message

logger = logging.getLogger(__name__)

OUTCOME_S = 120.0
"""The longest that an order may take in the slowest worker: loading a large model on a busy machine."""


class Colleagues:
    """`serve.control.Control` for one of several workers."""

    def __init__(self, worker: int, link: Link, execute: Execute | None = None) -> None:
        self.worker = worker
        self.execute: Execute = execute or _not_yet
        self._link = link
        self._questions: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count()

    async def ask(self, order: Order, *, agreed: str | None = None) -> Outcome:
        number = next(self._numbers)
        self._questions[number] = asyncio.get_running_loop().create_future()
        message: Message = {"kind": "ask", "question": number, "order": dict(order)}
        if agreed is not None:
            message["agreed"] = agreed
        try:
            self._link.send(message)
            outcome = await asyncio.wait_for(self._questions[number], OUTCOME_S)
        except (LinkClosedError, LinkFullError, TimeoutError) as error:
            raise ControlError(f"the workers did not carry out {order['do']!r} together: {error}") from error
        finally:
            del self._questions[number]
        for answer in outcome["answers"]:
            if "error" in answer:
                raise ControlError(answer["error"])
        return Outcome(tuple(outcome["answers"]), outcome["crew"])

    def take_outcome(self, message: Message) -> None:
        """The supervisor's word on a question of ours."""
        question = self._questions.get(message["question"])
        if question is not None and not question.done():
            question.set_result(message)

    async def carry_out(self, message: Message) -> None:
        """An order that somebody asked all of us to carry out; the answer goes back."""
        try:
            answer = await self.execute(message["order"])
        except SegError as error:
            answer = {"error": str(error)}
        except Exception:
            logger.exception("order %r failed", message["order"]["do"])
            answer = {"error": f"a worker failed on {message['order']['do']!r}; its log says why."}
        self._link.send({"kind": "answer", "ballot": message["ballot"], "answer": answer})


async def _not_yet(order: Order) -> dict[str, Any]:
    raise ControlError(f"this worker is not ready to carry out {order['do']!r}")
