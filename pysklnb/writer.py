"""Write plain values and arrays as a pickle that every program of the field opens.

Names of numpy are spelled as numpy 1 has them, whatever numpy is installed: PYSKL's environment knows no other.
The bytes are those of the standard pickler. Values are taken one at a time, so that a data set whose arrays are
read when they are asked for is never in memory as a whole; the file appears under its name when it is complete.
"""

from __future__ import annotations

import collections
import io
import os
import secrets
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .sources import ArrayHandle, FormatError

PROTOCOLS = (2, 4)
# As the standard pickler has it: no more than so many items between MARK and APPENDS or SETITEMS.
_BATCH = 1000
_MAX_DEPTH = 16


def write(value: Any, path: str | os.PathLike[str], *, protocol: int = 4, overwrite: bool = False) -> None:
    """Write `value` to `path` as a pickle.

    Parameters
    ----------
    value
        None, bool, int of 64 bits, float, str, bytes, numpy array or scalar, and lists, tuples and dicts of those.
        Any other sequence or mapping is written as a list or a dict, item by item; an `ArrayHandle` as its array.
    path
        Where to. A file that is there stays as it is until the new one is complete.
    protocol
        2, as the official tools write, or 4, which is a quarter smaller and quicker to read.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    FileExistsError
        There is a file, and `overwrite` is False.
    FormatError
        A value is of another kind; the message has its place.
    """
    with _replacing(path, overwrite=overwrite) as file:
        _Writer(file, protocol).write(value)


def to_bytes(value: Any, *, protocol: int = 4) -> bytes:
    """Return the pickle that `write` would write."""
    file = io.BytesIO()
    _Writer(file, protocol).write(value)
    return file.getvalue()


def check(value: Any, place: str) -> None:
    """Raise the `FormatError` that `write` would raise for a value at this place."""
    with open(os.devnull, "wb") as nowhere:
        _Writer(nowhere, PROTOCOLS[-1]).value(value, place)


@contextmanager
def _replacing(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends well, and leaves no trace otherwise."""
    target = os.path.realpath(path)

    def refuse_existing() -> None:
        if not overwrite and os.path.lexists(target):
            raise FileExistsError(f"{target} exists. Choose another name, or pass overwrite=True to replace it.")

    refuse_existing()
    if os.path.isdir(target):
        raise IsADirectoryError(f"{target} is a folder. Name the file to be written in it.")
    folder, name = os.path.split(target)
    draft = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")
    try:
        with open(draft, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        refuse_existing()
        os.replace(draft, target)
    except BaseException:
        if os.path.lexists(draft):
            os.unlink(draft)
        raise


class _Writer:
    def __init__(self, file: BinaryIO, protocol: int) -> None:
        if protocol not in PROTOCOLS:
            raise FormatError(f"protocol={protocol!r}: 2 (as the official tools write) or 4 is possible.")
        self.emit = file.write
        self.protocol = protocol
        self.entries = 0
        # Equal texts become one, which also lets a reader keep one; names, dtypes and single bytes likewise.
        self.memo: dict[Any, int] = {}
        # Tuples that one annotation refers to twice (img_shape and original_shape) stay one object.
        self.tuples: dict[int, tuple[Any, int]] = {}

    def write(self, value: Any) -> None:
        self.emit(b"\x80" + bytes([self.protocol]))
        self.value(value, "")
        self.emit(b".")

    # -- memo

    def put(self, key: Any = None) -> None:
        """Make a memo entry of what was written last, under `key` if it will be referred to."""
        if self.protocol == 2:
            number = self.entries
            self.emit(b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number))
        else:
            self.emit(b"\x94")
        if key is not None:
            self.memo[key] = self.entries
        self.entries += 1

    def get(self, number: int) -> None:
        self.emit(b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number))

    def once(self, key: Any, write: Callable[[], None]) -> None:
        """Write something the first time, and refer to it from then on."""
        if key in self.memo:
            self.get(self.memo[key])
        else:
            write()
            self.put(key)

    # -- values

    def value(self, value: Any, place: str, depth: int = 0) -> None:
        if depth > _MAX_DEPTH:
            raise FormatError(f"{place[:80]}: nested more than {_MAX_DEPTH} deep, or part of itself.")
        match value:
            case None | bool():
                self.emit({None: b"N", True: b"\x88", False: b"\x89"}[value])
            case np.ma.MaskedArray():
                raise FormatError(f"{place}: found a masked array, expected a plain one. Fill it: .filled(0).")
            case np.ndarray():
                self.array(value, place)
            case ArrayHandle():
                self.array(value.read(), place)
            case str():
                self.text(value)
            case bytes() | bytearray():  # which only protocol 5 can tell apart
                self.bytes(bytes(value), place)
            case np.generic():
                self.scalar(value, place)
            case int():
                self.integer(value, place)
            case float():
                self.emit(b"G" + struct.pack(">d", value))
            case tuple():
                self.tuple(value, place, depth)
            case Mapping():
                self.mapping(value, place, depth)
            case Sequence():
                self.sequence(value, place, depth)
            case _:
                raise FormatError(
                    f"{place or 'the data'}: found {type(value).__module__}.{type(value).__qualname__}, expected "
                    "plain values, lists, tuples, dicts or numpy arrays. Convert it (a tensor with .numpy(), a path "
                    "with str)."
                )

    def integer(self, value: int, place: str) -> None:
        if 0 <= value < 256:
            self.emit(b"K" + bytes([value]))
        elif 0 <= value < 65536:
            self.emit(b"M" + struct.pack("<H", value))
        elif -(2**31) <= value < 2**31:
            self.emit(b"J" + struct.pack("<i", value))
        elif -(2**63) <= value < 2**64:
            data = value.to_bytes(9, "little", signed=True)
            self.emit(b"\x8a" + bytes([len(data)]) + data)
        else:
            raise FormatError(f"{place}: found an int of more than 64 bits, expected at most 64.")

    def text(self, value: str) -> None:
        def write() -> None:
            data = value.encode("utf-8", "surrogatepass")
            if self.protocol >= 4 and len(data) < 256:
                self.emit(b"\x8c" + bytes([len(data)]) + data)
            else:
                self.emit(b"X" + struct.pack("<I", len(data)) + data)

        self.once(value, write)

    def bytes(self, value: bytes, place: str) -> None:
        if len(value) >= 2**31:
            raise FormatError(f"{place}: found {len(value):,} bytes in one piece, expected less than 2 GiB.")
        # Python has one object for b"" and for each single byte, and so the pickler writes them once.
        key = value if len(value) < 2 else None
        if key in self.memo:
            self.get(self.memo[key])
            return
        if self.protocol >= 4:
            size = len(value)
            self.emit(b"C" + bytes([size]) if size < 256 else b"B" + struct.pack("<I", size))
            self.emit(value)
        elif value:
            # Protocol 2 has no bytes: Python 3 writes the call that makes them of a text.
            data = value.decode("latin-1").encode("utf-8")
            self.name("_codecs", "encode")
            self.emit(b"X" + struct.pack("<I", len(data)))
            self.emit(data)
            self.put()
            self.text("latin1")
            self.emit(b"\x86")
            self.put()
            self.emit(b"R")
        else:
            self.name("__builtin__", "bytes")
            self.emit(b")R")
        self.put(key)

    def name(self, module: str, name: str) -> None:
        def write() -> None:
            if self.protocol >= 4:
                self.text(module)
                self.text(name)
                self.emit(b"\x93")
            else:
                self.emit(f"c{module}\n{name}\n".encode())

        self.once((module, name), write)

    # -- numpy

    def dtype(self, dtype: np.dtype[Any], place: str) -> None:
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise FormatError(
                f"{place}: found numpy's dtype {dtype}, expected numbers of at most 64 bits. Convert it with "
                ".astype(...), or make plain Python values of it with .tolist()."
            )
        key = ("dtype", dtype.str)
        if key in self.memo:
            self.get(self.memo[key])
            return
        self.name("numpy", "dtype")
        self.text(dtype.str[1:])
        self.emit(b"\x89\x88\x87")
        self.put()
        self.emit(b"R")
        self.put(key)
        self.emit(b"(K\x03")
        self.text(dtype.str[0])
        self.emit(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t")
        self.put()
        self.emit(b"b")

    def scalar(self, value: np.generic, place: str) -> None:
        self.name("numpy.core.multiarray", "scalar")
        self.dtype(value.dtype, place)
        self.bytes(value.tobytes(), place)
        self.emit(b"\x86")
        self.put()
        self.emit(b"R")
        self.put()

    def array(self, array: npt.NDArray[Any], place: str) -> None:
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        self.name("numpy.core.multiarray", "_reconstruct")
        self.name("numpy", "ndarray")
        self.emit(b"K\x00\x85")
        self.put()
        self.bytes(b"b", place)
        self.emit(b"\x87")
        self.put()
        self.emit(b"R")
        self.put()
        self.emit(b"(K\x01")
        self.tuple(array.shape, place)
        self.dtype(array.dtype, place)
        self.emit(b"\x88" if fortran else b"\x89")
        self.bytes(array.tobytes("F" if fortran else "C"), place)
        self.emit(b"t")
        self.put()
        self.emit(b"b")

    # -- containers

    def tuple(self, value: tuple[Any, ...], place: str, depth: int = 0) -> None:
        if id(value) in self.tuples:
            self.get(self.tuples[id(value)][1])
            return
        if not value:
            self.emit(b")")
            return
        if len(value) > 3:
            self.emit(b"(")
        for number, item in enumerate(value):
            self.value(item, f"{place}[{number}]", depth + 1)
        self.emit({1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(value), b"t"))
        self.tuples[id(value)] = value, self.entries
        self.put()

    def sequence(self, value: Sequence[Any], place: str, depth: int) -> None:
        self.emit(b"]")
        self.put()
        for start in range(0, len(value), _BATCH):
            self.emit(b"(")
            for number in range(start, min(start + _BATCH, len(value))):
                self.tuples.clear()
                self.value(value[number], f"{place}[{number}]", depth + 1)
            self.emit(b"e")

    def mapping(self, value: Mapping[Any, Any], place: str, depth: int) -> None:
        if isinstance(value, collections.OrderedDict):
            self.name("collections", "OrderedDict")
            self.emit(b")R")
        else:
            self.emit(b"}")
        self.put()
        items = list(value)
        for start in range(0, len(items), _BATCH):
            self.emit(b"(")
            for key in items[start : start + _BATCH]:
                if type(key) not in (str, int, float):
                    raise FormatError(f"{place or 'the data'}: found the key {key!r}, expected a str or a number.")
                self.value(key, place, depth + 1)
                self.value(value[key], f"{place}.{key}" if place else str(key), depth + 1)
            self.emit(b"u")
