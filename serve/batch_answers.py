"""How the answers of a batch come in one body, written as they get ready: lines of JSON, or a zip."""

import io
import json
import mimetypes
import zipfile
from abc import abstractmethod
from base64 import b64encode
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from serve.problems import PROBLEM_TYPE

Container = Literal["ndjson", "zip"]

_STEM_LENGTH = 80
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The same answers give the same zip."""


@dataclass(frozen=True)
class ImageAnswer:
    """What one image of a batch got."""

    index: int
    name: str
    """As the client called the file."""
    status: int
    media_type: str
    content: bytes
    """The answer, or a problem."""

    @property
    def is_problem(self) -> bool:
        return self.media_type == PROBLEM_TYPE


class BatchPacker:
    """Called for one answer after the other, in their order."""

    media_type: str

    @abstractmethod
    def pack(self, answer: ImageAnswer) -> bytes:
        """The next bytes of the body."""

    def end(self) -> bytes:
        """The last ones."""
        return b""


class NdjsonPacker(BatchPacker):
    """A line for each image: `answer` where the format is JSON, else `content_base64`, or a `problem`."""

    media_type = "application/x-ndjson"

    def pack(self, answer: ImageAnswer) -> bytes:
        line = {"index": answer.index, "name": answer.name, "status": answer.status}
        if answer.is_problem:
            return b'%s, "problem": %s}\n' % (_begun(line), answer.content)
        begun = _begun({**line, "media_type": answer.media_type})
        if answer.media_type.endswith("json"):
            return b'%s, "answer": %s}\n' % (begun, answer.content)
        return b'%s, "content_base64": "%s"}\n' % (begun, b64encode(answer.content))


class ZipPacker(BatchPacker):
    """An entry for each image: `0000-STEM.png` as the format has it, or `0000-STEM.problem.json`."""

    media_type = "application/zip"

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    def pack(self, answer: ImageAnswer) -> bytes:
        suffix = ".problem.json" if answer.is_problem else _suffix(answer.media_type)
        entry = zipfile.ZipInfo(f"{answer.index:04d}-{_stem(answer.name)}{suffix}", _EPOCH)
        self._zip.writestr(entry, answer.content)
        return self._sink.take()

    def end(self) -> bytes:
        self._zip.close()
        return self._sink.take()


PACKERS: dict[Container, type[BatchPacker]] = {"ndjson": NdjsonPacker, "zip": ZipPacker}


def choose_container(asked: Container | None, accept: str | None) -> Container:
    """What the query asks for, else a zip where the Accept header names one, else lines."""
    if asked is not None:
        return asked
    named = {part.partition(";")[0].strip().lower() for part in (accept or "").split(",")}
    return "zip" if ZipPacker.media_type in named else "ndjson"


class _Sink(io.RawIOBase):
    """A file that can only be written, and gives what was."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zipfile writes bytes
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _begun(fields: dict[str, object]) -> bytes:
    return json.dumps(fields)[:-1].encode()


def _stem(name: str) -> str:
    """The file's own name without folders: nothing that unpacks it can be led elsewhere."""
    stem = PurePosixPath(name.replace("\\", "/")).stem[:_STEM_LENGTH]
    return "".join(c for c in stem if c.isprintable() and c not in '<>:"|?*') or "image"


def _suffix(media_type: str) -> str:
    if media_type.endswith("json"):
        return ".json"
    return mimetypes.guess_extension(media_type) or ".bin"
