"""Pages for people: `/` to try the model, `/docs` to read the API. Everything they load comes from here."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).parent.parent / "web"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter(include_in_schema=False)
files = StaticFiles(directory=WEB)


@router.get("/")
async def index() -> FileResponse:
    return FileResponse(WEB / "index.html", headers=HEADERS)


@router.get("/docs")
async def docs() -> FileResponse:
    return FileResponse(WEB / "docs.html", headers=HEADERS)
