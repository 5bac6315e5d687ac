"""The parts of a multipart body, read by callbacks; a subclass decides by their names which are kept."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from serve.errors import MalformedBodyError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MULTIPART = "multipart/form-data"


class PartReader:
    """Collects the content of every part that is wanted, in pieces of the body."""

    def __init__(self) -> None:
        self.contents: list[list[bytes]] = []
        """One list of pieces for each part that was wanted, in their order."""
        self._is_complete = False
        self._header_name = b""
        self._header_value = b""
        self._is_wanted = False

    @abstractmethod
    def wants(self, disposition: dict[bytes, bytes]) -> bool:
        """Whether to keep the part with these options (`name`, `filename`) of Content-Disposition."""

    def read(self, body: bytes, boundary: bytes | None) -> None:
        """The whole body at once. Raises MalformedBodyError, and what `wants` raises."""
        if not boundary:
            raise MalformedBodyError(f"{MULTIPART} without a boundary in Content-Type.")
        try:
            parser = MultipartParser(boundary, self._callbacks())
            parser.write(body)
            parser.finalize()
        except MultipartParseError as error:
            raise MalformedBodyError(f"the multipart body is malformed: {error}.") from None
        if not self._is_complete:
            raise MalformedBodyError("the multipart body ends before its closing boundary.")

    def _callbacks(self) -> "MultipartCallbacks":
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
            self._is_wanted = self.wants(parse_options_header(self._header_value)[1])
            if self._is_wanted:
                self.contents.append([])
        self._header_name = self._header_value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_wanted:
            self.contents[-1].append(data[start:end])

    def _end(self) -> None:
        self._is_complete = True
