"""Where the bytes of a data set are: files, memory, and the arrays in them that nobody read yet.

The two errors of the package live here as well, for everything else is built on this module.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import re
import stat
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt


class FormatError(ValueError):
    """The data is not of this format: broken, truncated, not a pickle, or not a skeleton file."""


class UnsafePickleError(ValueError):
    """The pickle asks for something that data does not need. Nothing of it was run."""


# ----------------------------------------------------------------------------------------------------
# Where bytes come from


class FileSource:
    """A file on disk, as it was when it was opened: `path`, `size` (bytes) and `mtime_ns` identify it.

    Parameters
    ----------
    path
        The file. A missing one raises `FileNotFoundError`, a folder or a pipe `FormatError`.
    keep_open
        Keep a descriptor for quick array reads. Without it each read opens the file anew, which is slower
        (about 10 µs) but lets thousands of small files be in use at once.
    """

    __slots__ = ("__weakref__", "_fd", "mtime_ns", "path", "size")

    def __init__(self, path: str | os.PathLike[str], *, keep_open: bool = True) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self._fd: int | None = None
        # Asked before it is opened: to open a pipe is to wait for whoever may write to it.
        mode = os.stat(self.path).st_mode
        if stat.S_ISDIR(mode):
            raise FormatError(f"{self.path} is a folder, not a file. Name a file in it.")
        if not stat.S_ISREG(mode):
            raise FormatError(f"{self.path} is not a regular file. Copy its contents to a file first.")
        with open(self.path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            self.size, self.mtime_ns = status.st_size, status.st_mtime_ns
            # Without positioned reads a shared descriptor would mix up threads and forked processes.
            if keep_open and hasattr(os, "preadv"):
                self._fd = os.dup(file.fileno())
                weakref.finalize(self, os.close, self._fd)

    def __reduce__(self) -> tuple[Any, ...]:
        # A descriptor means nothing to another process, and a copy must not close this one's.
        return _reopen, (self.path, self._fd is not None, self.size, self.mtime_ns)

    def map(self) -> mmap.mmap:
        with open(self.path, "rb") as file:
            self._check(os.fstat(file.fileno()))
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def read_into(self, offset: int, target: npt.NDArray[Any]) -> None:
        """Fill the C-contiguous `target` with the bytes that start at `offset`."""
        if self._fd is not None:
            self._check(os.stat(self.path))
            count = os.preadv(self._fd, [target.data], offset)
        else:
            with open(self.path, "rb", buffering=0) as file:
                self._check(os.fstat(file.fileno()))
                file.seek(offset)
                count = file.readinto(target.data)
        if 0 < count < target.nbytes:  # one call reads 2 GiB at most
            self.read_into(offset + count, target.reshape(-1).view(np.uint8)[count:])
        elif count != target.nbytes:
            raise FormatError(f"{self.path}: byte {offset:,}: the file ends inside an array. Load it again.")

    def read_bytes(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset` on."""
        if self._fd is not None:
            self._check(os.stat(self.path))
            data = os.pread(self._fd, length, offset)
            if len(data) == length:
                return data
        target = np.empty(length, np.uint8)
        self.read_into(offset, target)
        return target.tobytes()

    def check_unchanged(self) -> None:
        """Raise `FormatError` if the file at this path is no longer the one that was opened."""
        self._check(os.stat(self.path))

    def _check(self, status: os.stat_result) -> None:
        if status.st_mtime_ns != self.mtime_ns or status.st_size != self.size:
            raise FormatError(
                f"{self.path} changed on disk after it was opened: {status.st_size:,} bytes now, "
                f"{self.size:,} then. Load it again."
            )


def _reopen(path: str, keep_open: bool, size: int, mtime_ns: int) -> FileSource:
    source = FileSource(path, keep_open=keep_open)
    source.size, source.mtime_ns = size, mtime_ns
    source.check_unchanged()
    return source


class BytesSource:
    """The bytes of a pickle that is in memory already, such as a cached value."""

    __slots__ = ("data", "path", "size")

    def __init__(self, data: bytes, path: str = "<bytes>") -> None:
        self.data, self.path, self.size = data, path, len(data)

    def map(self) -> bytes:
        return self.data

    def read_into(self, offset: int, target: npt.NDArray[Any]) -> None:
        target.reshape(-1).view(np.uint8)[:] = np.frombuffer(self.data, np.uint8, target.nbytes, offset)

    def read_bytes(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def check_unchanged(self) -> None:
        """Bytes do not change."""


Source = FileSource | BytesSource


# ----------------------------------------------------------------------------------------------------
# What the machine handles besides plain values


class Form(NamedTuple):
    """How the bytes of an array are to be understood."""

    dtype: np.dtype[Any]
    encoding: str = "raw"  # or "utf-8" (latin-1 text written as UTF-8), "escaped", "quoted" (of protocol 0)
    order: str | tuple[int, ...] = "C"  # or "F", or the axes by which a C-ordered array is transposed
    swapped: bool = False  # the bytes have the other byte order than `dtype`


class ArrayHandle:
    """An array that was not read: where its bytes are (`source`, `offset`, `length`) and what they mean."""

    __slots__ = ("form", "length", "offset", "source", "stored_shape")

    def __init__(self, source: Source, offset: int, length: int, stored_shape: tuple[int, ...], form: Form) -> None:
        self.source = source
        self.offset = offset
        self.length = length
        self.stored_shape = stored_shape
        self.form = form

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that `read` returns."""
        order, sides = self.form.order, self.stored_shape
        return sides if isinstance(order, str) else tuple(sides[axis] for axis in order)

    @property
    def ndim(self) -> int:
        return len(self.stored_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the array that `read` returns."""
        return self.form.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes once it is read."""
        return math.prod(self.stored_shape) * self.form.dtype.itemsize

    def read(self) -> npt.NDArray[Any]:
        """Return a fresh, writable array that owns its memory.

        Raises
        ------
        FormatError
            The bytes are not what the file said, or the file changed since it was opened.
        """
        dtype, encoding, order, _ = self.form
        if encoding != "raw":
            return self.given(self.source.read_bytes(self.offset, self.length))
        memory: Literal["C", "F"] = "F" if order == "F" else "C"
        array = np.empty(self.stored_shape, dtype, order=memory)
        if array.nbytes:
            self.source.read_into(self.offset, array.T if memory == "F" else array)
        return self._turned(array)

    def given(self, stored: bytes | memoryview) -> npt.NDArray[Any]:
        """Return what `read` does, of the bytes in the file, if somebody else has read them already."""
        data = stored if self.form.encoding == "raw" else self._decoded(stored)
        memory: Literal["C", "F"] = "F" if self.form.order == "F" else "C"
        flat = np.frombuffer(data, self.form.dtype)
        return self._turned(flat.reshape(self.stored_shape, order=memory).copy(order=memory))

    def _turned(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.form.swapped:
            array.byteswap(inplace=True)
        order = self.form.order
        return array if isinstance(order, str) else array.transpose(order).copy(order="K")

    def _decoded(self, text: bytes | memoryview) -> bytes:
        try:
            data = DECODERS[self.form.encoding](text)
        except (KeyError, ValueError):
            data = b""
        if len(data) != self.nbytes:
            raise FormatError(
                f"{self.source.path}: byte {self.offset:,}: the text of an array of shape {self.shape} and "
                f"dtype {self.dtype} does not give its {self.nbytes:,} bytes. The file is damaged: get it again."
            )
        return data

    def __repr__(self) -> str:
        return f"<array of shape {self.shape} and dtype {self.dtype}, not read>"


def unquote(text: bytes | memoryview) -> bytes:
    """Turn the repr of a Python 2 str, without its quotes, back into bytes."""
    return _ESCAPE.sub(_unescape, text)


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)]) if match[1] else _ESCAPED[match[2]]


_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.?))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b"'": b"'", b'"': b'"'}

DECODERS: dict[str, Callable[[bytes | memoryview], bytes]] = {
    "utf-8": lambda text: str(text, "utf-8").encode("latin-1"),
    "escaped": lambda text: str(text, "raw_unicode_escape").encode("latin-1"),
    "quoted": unquote,
}
# The most bytes that one byte of an array can take in the file.
WIDEST = {"raw": 1, "utf-8": 2, "escaped": 6, "quoted": 4}


# ----------------------------------------------------------------------------------------------------
# Many arrays at once


def read_together(handles: Sequence[ArrayHandle]) -> list[npt.NDArray[Any] | FormatError]:
    """Read arrays as `ArrayHandle.read` does. Those that lie together in a file are fetched in one go: to ask the
    system once for each of them takes longer than to copy the bytes.

    Returns
    -------
    list
        For each handle its array, or the error that its `read` raises.
    """
    source = handles[0].source if handles else None
    if len(handles) > 1 and all(handle.source is source for handle in handles):
        start, end = min(handle.offset for handle in handles), max(handle.offset + handle.length for handle in handles)
        if end - start <= 2 * sum(handle.length for handle in handles):
            with contextlib.suppress(FormatError):  # which of them it is comes out when they are read one by one
                window = memoryview(handles[0].source.read_bytes(start, end - start))
                return [handle.given(window[handle.offset - start :][: handle.length]) for handle in handles]
    return [_read_or_error(handle) for handle in handles]


def _read_or_error(handle: ArrayHandle) -> npt.NDArray[Any] | FormatError:
    try:
        return handle.read()
    except FormatError as error:
        return error
