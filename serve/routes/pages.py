"""Pages for people: `/` to try the model, `/docs` to read the API. Everything they load comes from here."""

import os
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

WEB = Path(__file__).parent.parent / "web"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-cache",
}
"""No scripts or styles within the page. Browsers ask each time whether what they keep is still right."""

router = APIRouter(include_in_schema=False)


class PageFiles(StaticFiles):
    """Scripts and styles of the pages; those of two releases never mix in one page."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = HEADERS["Cache-Control"]
        return response


files = PageFiles(directory=WEB)


@router.get("/")
async def index() -> FileResponse:
    return FileResponse(WEB / "index.html", headers=HEADERS)


@router.get("/docs")
async def docs() -> FileResponse:
    return FileResponse(WEB / "docs.html", headers=HEADERS)
