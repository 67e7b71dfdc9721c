"""multipart/form-data (RFC 7578) with recordings, parsed as it arrives; nothing is spooled."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.errors import InputTooLarge, InvalidInput
from core.services import InputUpload

FILE_FIELD = "file"
REFERENCE_FIELD = "reference"
MAX_FIELD_BYTES = 64 * 1024

OpenUpload = Callable[[str, str], InputUpload]
"""Opens the place for a file, given the user's name for it and the media type that the client stated."""


class UploadForm:
    """A form of one to `max_files` files and some text fields, in any order; with `open_reference`, of a reference too.

    `feed` the body in pieces of any size, then `close`; both block while the store takes the bytes. `upload` is the
    latest file (None before its part begins), open, and `reference` the reference; `fields` the text fields by name.
    InvalidInput when the body is no such form, InputTooLarge when a text field has more than MAX_FIELD_BYTES.
    """

    def __init__(
        self,
        boundary: bytes,
        *,
        open_upload: OpenUpload,
        field_names: frozenset[str],
        max_files: int = 1,
        open_reference: OpenUpload | None = None,
    ) -> None:
        self.upload: InputUpload | None = None
        self.reference: InputUpload | None = None
        self.fields: dict[str, str] = {}
        self._open_upload = open_upload
        self._open_reference = open_reference
        self._file: InputUpload | None = None  # of the part that is being read
        self._field_names = field_names
        self._max_files = max_files
        self._files = 0
        self._is_complete = False
        self._part_name = ""
        self._field_value = bytearray()
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._part_headers: dict[bytes, bytes] = {}
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise InvalidInput(f"The boundary of the multipart body is not valid: {error}.") from error

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidInput(f"The multipart body is broken: {error}.") from error

    def close(self) -> InputUpload:
        """The latest file, after the last byte of the body; not yet finished."""
        if not self._is_complete:
            raise InvalidInput("The multipart body ends before its closing boundary.")
        if self.upload is None:
            raise InvalidInput(f"The form has no file: send the recording in the field {FILE_FIELD!r}.")
        return self.upload

    def _begin_part(self) -> None:
        self._part_headers = {}
        self._field_value = bytearray()
        self._file = None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._part_headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        _, parameters = parse_options_header(self._part_headers.get(b"content-disposition"))
        self._part_name = decode_text(parameters.get(b"name", b""))
        file_name = _unescape_name(decode_text(parameters.get(b"filename", b"")))
        media_type = self._part_headers.get(b"content-type", b"").decode("latin-1")
        if self._part_name == FILE_FIELD:
            self._begin_file(file_name, media_type)
        elif self._part_name == REFERENCE_FIELD and self._open_reference is not None:
            self._begin_reference(self._open_reference, file_name, media_type)
        elif self._part_name not in self._field_names:
            files = [FILE_FIELD] if self._open_reference is None else [FILE_FIELD, REFERENCE_FIELD]
            known = ", ".join([*files, *sorted(self._field_names)])
            raise InvalidInput(f"The form has an unknown field {self._part_name[:100]!r}. Fields: {known}.")
        elif self._part_name in self.fields:
            raise InvalidInput(f"The form has the field {self._part_name!r} twice.")

    def _begin_file(self, name: str, media_type: str) -> None:
        self._files += 1
        if self._files > self._max_files:
            if self._max_files == 1:
                raise InvalidInput("The form has two files. Several recordings are a batch: POST /api/v1/batches.")
            raise InvalidInput(f"The form has more files than the limit of {self._max_files}. Send several batches.")
        self._file = self.upload = self._open_upload(name, media_type)

    def _begin_reference(self, open_reference: OpenUpload, name: str, media_type: str) -> None:
        if self.reference is not None:
            raise InvalidInput(f"The form has the field {REFERENCE_FIELD!r} twice.")
        self._file = self.reference = open_reference(name, media_type)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._field_value += data[start:end]
        if len(self._field_value) > MAX_FIELD_BYTES:
            raise InputTooLarge(f"The field {self._part_name!r} is larger than the limit of {MAX_FIELD_BYTES} bytes.")

    def _end_part(self) -> None:
        if self._file is not None:
            return
        try:
            self.fields[self._part_name] = self._field_value.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"The field {self._part_name!r} is not UTF-8 text.") from error

    def _end(self) -> None:
        self._is_complete = True


def decode_text(value: bytes) -> str:
    """Text of a header: UTF-8 as browsers send it, Latin-1 as older clients do."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _unescape_name(name: str) -> str:
    """Undo what the HTML standard's form encoding does to a file name, and to nothing else in it."""
    return name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
