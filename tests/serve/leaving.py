"""A client, without a socket, that sends its image and hangs up when it is told to."""

import asyncio

from fastapi import FastAPI


async def ask_and_leave(app: FastAPI, image: bytes, gone: asyncio.Event) -> int:
    """The status that the service gave to nobody."""
    messages = iter([{"type": "http.request", "body": image, "more_body": False}])
    sent = []

    async def receive():
        message = next(messages, None)
        if message is None:
            await gone.wait()
            return {"type": "http.disconnect"}
        return message

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/segment", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"]
