"""From one body to many image files: parts of a form, or entries of a zip. Nothing touches the disk."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from modelpack.errors import CorruptImageError, ImageError
from serve.errors import BatchTooLargeError, EmptyBodyError, MalformedBodyError, MediaTypeError
from serve.multipart import MULTIPART, PartReader, options_of

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
    media_type, options = options_of(content_type)
    if media_type == MULTIPART:
        uploads = _form_files(body, options.get(b"boundary"), max_images)
    else:
        uploads = _zip_files(body, max_images, max_bytes)
    if not uploads:
        raise EmptyBodyError("the batch holds no file. Send image files as parts of a form, or in a zip.")
    return uploads


def _form_files(body: bytes, boundary: bytes | None, max_images: int) -> list[Upload]:
    reader = _FileReader(max_images)
    reader.read(body, boundary)
    return [Upload(*file) for file in zip(reader.names, reader.contents, strict=True)]


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


class _FileReader(PartReader):
    """Keeps every part that has a file name."""

    def __init__(self, max_files: int) -> None:
        super().__init__()
        self.names: list[str] = []
        self._max_files = max_files

    def wants(self, disposition: dict[bytes, bytes]) -> bool:
        name = disposition.get(b"filename")
        if name is None:
            return False
        if len(self.names) == self._max_files:
            raise BatchTooLargeError("files", self._max_files)
        self.names.append(name.decode("utf-8", "replace"))
        return True
