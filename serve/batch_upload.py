"""From one body to many image files: parts of a form, or entries of a zip. Nothing touches the disk."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from modelpack.errors import CorruptImageError, ImageError
from serve.errors import BatchTooLargeError, EmptyBodyError, MalformedBodyError, MediaTypeError
from serve.uploads import MULTIPART

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
_ZIP_ENTRY = b"PK\x01\x02"
"""Begins the description of each entry in a zip's directory."""
_ENTRIES_PER_IMAGE = 4
"""Folders and the like, which are not images, are read over up to this many entries for each image."""
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IS_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Upload:
    """One file of a batch."""

    name: str
    """As the client called it; "" where it did not."""
    content: bytes | ImageError
    """The file, or why it cannot be read."""


def check_batch_type(content_type: str) -> None:
    """Raises MediaTypeError for a body that holds no batch."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in (MULTIPART, *ZIP_TYPES):
        raise MediaTypeError(
            f"Content-Type {media_type!r} holds no batch. Send the images as files of {MULTIPART}, "
            f"or as one {ZIP_TYPES[0]}."
        )


def uploads_in(body: bytes, content_type: str, *, max_images: int, max_bytes: int) -> list[Upload]:
    """The files of a batch in their order.

    max_bytes: of all files together, unpacked. Raises MalformedBodyError, BatchTooLargeError, and
    EmptyBodyError where there is no file. An entry of a zip that is damaged is an Upload with its error.
    """
    media_type, options = parse_options_header(content_type)
    if media_type.decode("latin-1").lower() == MULTIPART:
        uploads = _form_files(body, options.get(b"boundary"), max_images)
    else:
        uploads = _zip_files(body, max_images, max_bytes)
    if not uploads:
        raise EmptyBodyError("the batch holds no file. Send image files as parts of a form, or in a zip.")
    return uploads


def _form_files(body: bytes, boundary: bytes | None, max_images: int) -> list[Upload]:
    if not boundary:
        raise MalformedBodyError(f"{MULTIPART} without a boundary in Content-Type.")
    reader = _PartReader(max_images)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise MalformedBodyError(f"the multipart body is malformed: {error}.") from None
    if not reader.is_complete:
        raise MalformedBodyError("the multipart body ends before its closing boundary.")
    return [Upload(name, b"".join(pieces)) for name, pieces in reader.files]


def _zip_files(body: bytes, max_images: int, max_bytes: int) -> list[Upload]:
    if body.count(_ZIP_ENTRY) > max_images * _ENTRIES_PER_IMAGE:
        raise BatchTooLargeError("files", max_images)
    try:
        archive = zipfile.ZipFile(io.BytesIO(body))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise MalformedBodyError(f"the zip cannot be read: {error}.") from None
    entries = [entry for entry in archive.infolist() if _is_file(entry)]
    if len(entries) > max_images:
        raise BatchTooLargeError("files", max_images)
    if sum(entry.file_size for entry in entries) > max_bytes:
        raise BatchTooLargeError("bytes when unpacked", max_bytes)
    return [Upload(entry.filename, _unpacked(archive, entry)) for entry in entries]


def _is_file(entry: zipfile.ZipInfo) -> bool:
    """Neither a folder nor what macOS puts beside the files."""
    path = PurePosixPath(entry.filename)
    return not entry.is_dir() and not path.name.startswith(".") and "__MACOSX" not in path.parts


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | ImageError:
    """At most the declared size: the reader stops there, whatever the entry really holds."""
    if entry.compress_type not in _READABLE or entry.flag_bits & _IS_ENCRYPTED:
        return CorruptImageError("the entry is encrypted, or packed by another method than store or deflate.")
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        return CorruptImageError(f"the entry does not unpack: {error}.")


class _PartReader:
    """Collects every part that has a file name."""

    def __init__(self, max_files: int) -> None:
        self.files: list[tuple[str, list[bytes]]] = []
        self.is_complete = False
        self._max_files = max_files
        self._header_name = b""
        self._header_value = b""
        self._is_wanted = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_content,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._is_wanted = False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_content(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            name = parse_options_header(self._header_value)[1].get(b"filename")
            if name is not None:
                self._is_wanted = True
                if len(self.files) == self._max_files:
                    raise BatchTooLargeError("files", self._max_files)
                self.files.append((name.decode("utf-8", "replace"), []))
        self._header_name = self._header_value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_wanted:
            self.files[-1][1].append(data[start:end])

    def _end(self) -> None:
        self.is_complete = True
