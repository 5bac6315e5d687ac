"""The answers of a batch out of one zip: no third for base64, but all of them at the end."""

import io
import json
import mimetypes
import zipfile
from collections.abc import Iterator, Sequence
from typing import Literal

from afdcd.client.answer import BatchLine, ClientAnswer
from afdcd.client.errors import ServiceError

Container = Literal["ndjson", "zip"]

_PROBLEM = ".problem.json"
_UNKNOWN = "application/octet-stream"


def zip_lines(body: bytes, names: Sequence[str], origin: str) -> Iterator[BatchLine]:
    """What became of each image, in their order.

    names: of the images as they were sent. The media type is what the ending of an entry tells. Raises
    zipfile.BadZipFile for an answer that was cut off.
    """
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        for entry in archive.namelist():
            index = int(entry.partition("-")[0])
            content = archive.read(entry)
            if entry.endswith(_PROBLEM):
                problem = json.loads(content)
                yield BatchLine(index, names[index], None, ServiceError(problem["status"], problem))
            else:
                media_type = mimetypes.guess_type(entry)[0] or _UNKNOWN
                yield BatchLine(index, names[index], ClientAnswer(content, media_type, origin), None)
