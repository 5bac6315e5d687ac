"""A client for the service: masks and other answers in Python, blocking or async. No torch; needs httpx."""

from afdcd.client.answer import BatchLine, ClientAnswer
from afdcd.client.awaiting import AsyncClient
from afdcd.client.blocking import Client
from afdcd.client.errors import ServiceError
from afdcd.client.question import Image, Question

__all__ = ["AsyncClient", "BatchLine", "Client", "ClientAnswer", "Image", "Question", "ServiceError"]
