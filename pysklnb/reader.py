"""Read a pickle as data: nothing it names is imported, nothing in it is called.

A pickle is a program for a small stack machine. The programs that write plain Python values and numpy arrays
use few of its instructions, always in the same way, and that part of the machine is all there is here. A name
in the file becomes an inert mark with one legitimate place; a REDUCE on such a mark is carried out by code in
this module, on arguments that are checked to be exactly those of a good file. Anything else is an error.

Arrays are not read. The parser passes over an array's bytes and leaves an `ArrayHandle` that knows where they
are. Time and memory are bounded by the size of the file; what is *in* the values (a path, say) is not judged.
"""

from __future__ import annotations

import collections
import gc
import math
import mmap
import os
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from .idioms import (
    BYTES,
    DTYPE,
    ENCODE,
    FROMBUFFER,
    MAX_SIDE,
    MISSING,
    NDARRAY,
    ORDERED_DICT,
    RECONSTRUCT,
    SCALAR,
    SKIPPED,
    Mark,
    NeedSteps,
    NewDtype,
    Templates,
)
from .sources import (
    DECODERS,
    WIDEST,
    ArrayHandle,
    BytesSource,
    FileSource,
    Form,
    FormatError,
    Source,
    UnsafePickleError,
)


class _Span:
    """Bytes of an array that the machine passed over; `encoding` as in `ArrayHandle`."""

    __slots__ = ("encoding", "length", "offset", "used")

    def __init__(self, offset: int, length: int, encoding: str) -> None:
        self.offset, self.length, self.encoding = offset, length, encoding
        self.used = False


class _Shell(ArrayHandle):
    """An array before the one BUILD that makes it one."""

    __slots__ = ()


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): DTYPE,
    ("numpy.core.multiarray", "scalar"): SCALAR,
    ("numpy._core.multiarray", "scalar"): SCALAR,
    ("numpy.core.numeric", "_frombuffer"): FROMBUFFER,
    ("numpy._core.numeric", "_frombuffer"): FROMBUFFER,
    ("_codecs", "encode"): ENCODE,
    ("__builtin__", "bytes"): BYTES,
    ("collections", "OrderedDict"): ORDERED_DICT,
}

# A table, so that no text from the file ever reaches `numpy.dtype`.
_DTYPES = {
    (code, order): np.dtype(order + code)
    for code in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    for order in ("|" if code.endswith("1") else "<>")
}

# Values that may stay in the result; anything else (a mark, a bare shell, an unfinished dtype) is refused.
_SCALARS = (dtype.type for dtype in _DTYPES.values())
_LEAVES = frozenset([type(None), bool, int, float, str, bytes, bytearray, ArrayHandle, *_SCALARS])
_CONTAINERS = frozenset([list, tuple, dict, collections.OrderedDict])

# A data set nests five deep (annotations, one annotation, a tuple); the rest is room for people's extra keys.
_MAX_DEPTH = 16
# Containers open at the same time: a good file has as many as it is deep, and a few for an array.
_MAX_OPEN = 1000
# An empty container takes one byte in the file and 80 in memory. The smallest that good files have many of
# is a tuple of one number: four bytes.
_BYTES_PER_CONTAINER = 4
_FLOOR = 4096
# A tuple that is shared takes two bytes wherever it is, and stands for three values or more.
_MOST_UNFOLDING = 4
# The oldest numpy in use knows no more.
_MOST_SIDES = 32
# The mapping is given back to the system in pieces, so that passing over the arrays does not fill memory.
_RELEASE_EVERY = 64 << 20
_CAN_RELEASE = hasattr(mmap, "MADV_DONTNEED")

_UNNEEDED = {
    0x30: "POP",
    0x31: "POP_MARK",
    0x32: "DUP",
    0x50: "PERSID",
    0x51: "BINPERSID",
    0x69: "INST",
    0x6F: "OBJ",
    0x81: "NEWOBJ",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x8B: "LONG4",
    0x8F: "EMPTY_SET",
    0x90: "ADDITEMS",
    0x91: "FROZENSET",
    0x92: "NEWOBJ_EX",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}

# The end of an error's sentence where the bytes are sound but the content is not ours.
_NO_SKELETONS = "That is no skeleton file."


def _shown(text: str | bytes) -> str:
    """Text from the file, escaped and short."""
    shown = ascii(text[:80])
    return shown if max(len(text), len(shown)) <= 80 else f"{shown[:77]}..."


_KINDS = {
    ArrayHandle: "an array",
    _Shell: "an unfinished array",
    _Span: "bytes of an array",
    NewDtype: "a numpy dtype",
}


def _kind(value: Any) -> str:
    if isinstance(value, Mark):
        return f"the name {value.name}"
    return _KINDS.get(type(value), f"a value of type {type(value).__name__}")


# ----------------------------------------------------------------------------------------------------
# The machine

_UINT8, _UINT16 = struct.Struct("<B"), struct.Struct("<H")
_UINT32, _UINT64 = struct.Struct("<I"), struct.Struct("<Q")
_INT32, _FLOAT64 = struct.Struct("<i"), struct.Struct(">d")


class _Machine:
    """The opcode machine over one file. Without templates it takes every instruction singly."""

    def __init__(self, source: Source, buffer: mmap.mmap | bytes, *, templates: bool = True) -> None:
        self.source = source
        self.buffer = buffer
        self.size = source.size
        self.stack: list[Any] = []
        self.marks: list[int] = []
        # Picklers number the memo from 0 without gaps: a list takes a tenth of a dict. `sparse` has the rest.
        self.memo: list[Any] = []
        self.sparse: dict[int, Any] = {}
        self.frame_end = self.size + 1
        self.containers_left = self.size // _BYTES_PER_CONTAINER + _FLOOR
        self.templates = Templates(source, buffer, self.memo) if templates else None
        self.released = 0

    def run(self) -> Any:
        """Take instructions until STOP and return the one value they leave."""
        buffer, stack, marks, memo = self.buffer, self.stack, self.marks, self.memo
        pos = start = 0
        fence = 0  # the stack below it belongs to containers that are still open
        try:
            while True:
                start = pos
                if pos >= self.frame_end:
                    self.leave_frame(pos)
                op = buffer[pos]
                pos += 1
                # Most of a data set is dicts; of the rest, the commonest instructions come first.
                if op == 0x7D:  # EMPTY_DICT
                    pos = self.take_dicts(start)
                elif op == 0x68 or op == 0x6A:  # BINGET, LONG_BINGET
                    if op == 0x68:
                        stack.append(self.get(buffer[pos], start))
                        pos += 1
                    else:
                        stack.append(self.get(_UINT32.unpack_from(buffer, pos)[0], start))
                        pos += 4
                elif op == 0x72:  # LONG_BINPUT
                    number = _UINT32.unpack_from(buffer, pos)[0]
                    if number == len(memo) and len(stack) > fence:
                        memo.append(stack[-1])
                    else:
                        self.put(number, fence, start)
                    pos += 4
                elif op == 0x94:  # MEMOIZE
                    self.put(len(memo), fence, start)
                elif op == 0x58:  # BINUNICODE
                    pos = self.text(pos + 4, _UINT32.unpack_from(buffer, pos)[0])
                elif op == 0x8C:  # SHORT_BINUNICODE
                    pos = self.text(pos + 1, buffer[pos])
                elif op == 0x4B:  # BININT1
                    stack.append(buffer[pos])
                    pos += 1
                elif op == 0x4D:  # BININT2
                    stack.append(_UINT16.unpack_from(buffer, pos)[0])
                    pos += 2
                elif op == 0x28:  # MARK
                    if len(marks) == _MAX_OPEN:
                        self.fail(start, f"more than {_MAX_OPEN} containers are open at once", _NO_SKELETONS)
                    fence = len(stack)
                    marks.append(fence)
                elif op in _CLOSING:
                    if not marks:
                        self.fail(start, "a container is closed that was never opened")
                    mark = marks.pop()
                    fence = self.fence()
                    items = stack[mark:]
                    del stack[mark:]
                    close, needs = _CLOSING[op]
                    if mark - needs < fence:
                        self.underflow(start)
                    close(self, items, start)
                elif op == 0x2E:  # STOP
                    return self.result(pos)
                else:
                    step, needs = _STEPS[op]
                    if len(stack) - needs < fence:
                        self.underflow(start)
                    pos = step(self, pos)
        except (IndexError, struct.error):
            # Stack and memo are checked before they are used: what is left is reading past the end.
            self.truncated(start)

    def result(self, pos: int) -> Any:
        if self.marks or len(self.stack) != 1:
            self.fail(pos - 1, f"the pickle ends with {len(self.stack)} values on the stack instead of one")
        if self.frame_end not in (pos, self.size + 1):
            self.fail(pos - 1, "the pickle ends inside a frame")
        if pos != self.size:
            self.fail(
                pos,
                f"the pickle ends here, but the file has {self.size:,} bytes",
                "A file holds one data set: if several were written in a row, save each to its own file.",
            )
        self.check_nesting(self.stack[0])
        return self.stack[0]

    def check_nesting(self, value: Any) -> None:
        """Bound depth and size as a reader would meet them: shared parts count as often as they are reached.

        A few bytes can make lists that hold each other 2**n times, or hold themselves; whatever went through
        the value later would never end.
        """
        allowed, nodes = _MOST_UNFOLDING * self.size + _FLOOR, 0
        level: list[Any] = [(value,)]
        taken = self.templates.taken if self.templates else {}
        for depth in range(_MAX_DEPTH + 1):
            inner: list[Any] = []
            for container in level:
                nodes += len(container)
                for item in container if type(container) in (list, tuple) else container.values():
                    kind = type(item)
                    if kind in _CONTAINERS:
                        if id(item) in taken and depth < _MAX_DEPTH - 3:
                            nodes += taken[id(item)]
                        else:
                            inner.append(item)
                    elif kind not in _LEAVES:
                        self.misplaced(item)
                if nodes > allowed:
                    self.fail(self.size, f"the data unfolds to over {allowed:,} values", _NO_SKELETONS)
            if not inner:
                return
            level = inner
        self.fail(self.size, f"the data is nested more than {_MAX_DEPTH} deep", _NO_SKELETONS)

    # -- errors

    def fail(self, pos: int, problem: str, advice: str = "The file is damaged: get it again.") -> NoReturn:
        raise FormatError(f"{self.source.path}: byte {pos:,}: {problem}. {advice}")

    def truncated(self, pos: int, what: str = "an instruction") -> NoReturn:
        self.fail(
            pos,
            f"the file ends after {self.size:,} bytes, inside {what}: it is truncated",
            "Probably a download was interrupted: compare the size with its source and download it again.",
        )

    def underflow(self, pos: int) -> NoReturn:
        self.fail(pos, "an instruction finds too few values on the stack")

    def refuse(self, pos: int, what: str, advice: str = "") -> NoReturn:
        advice = advice or (
            "If the file is your own, save it anew with plain dicts, lists, texts, numbers and numpy arrays only "
            "(str(path) for a path). If not, ask whoever made it to, and do not open it with pickle.load."
        )
        raise UnsafePickleError(
            f"{self.source.path}: byte {pos:,}: the pickle asks for {what}, which data does not need. "
            f"Nothing was imported or run. {advice}"
        )

    def misplaced(self, item: Any) -> NoReturn:
        if isinstance(item, Mark):
            self.refuse(self.size, f"the name {item.name} as a value")
        self.fail(self.size, f"the data holds {_kind(item)} in the place of a value")

    # -- bounds

    def count_container(self, pos: int, number: int = 1) -> None:
        self.containers_left -= number
        if self.containers_left < 0:
            self.fail(pos, f"more containers than {self.size:,} bytes of data can need", _NO_SKELETONS)

    def enter_frame(self, pos: int) -> int:
        length = _UINT64.unpack_from(self.buffer, pos)[0]
        if self.frame_end <= self.size:
            self.fail(pos - 1, "a frame begins inside another")
        if length > self.size - pos - 8:
            self.truncated(pos - 1, f"a block of {length:,} bytes")
        self.frame_end = pos + 8 + length
        return pos + 8

    def leave_frame(self, pos: int) -> None:
        if pos > self.frame_end:
            self.fail(self.frame_end, "an instruction crosses the end of its frame")
        self.frame_end = self.size + 1

    def release(self, end: int) -> None:
        """Give the mapped pages before `end` back to the system: they would look like used memory."""
        if end - self.released > _RELEASE_EVERY and isinstance(self.buffer, mmap.mmap) and _CAN_RELEASE:
            until = end - end % mmap.PAGESIZE
            self.buffer.madvise(mmap.MADV_DONTNEED, self.released, until - self.released)
            self.released = until

    def line(self, pos: int, limit: int | None = None) -> tuple[bytes, int]:
        """Return the bytes up to the next newline, and the position after it."""
        end = self.buffer.find(b"\n", pos, self.size if limit is None else min(self.size, pos + limit))
        if end < 0:
            if limit is None or self.size - pos < limit:
                self.truncated(pos - 1)
            self.fail(pos - 1, f"a line of over {limit} bytes where a number or a name is expected")
        return self.buffer[pos:end], end + 1

    # -- memo

    def get(self, number: int, pos: int) -> Any:
        value = self.memo[number] if number < len(self.memo) else self.sparse.get(number, MISSING)
        if value is SKIPPED:
            raise NeedSteps
        if value is MISSING:
            self.fail(pos, f"memo entry {number:,} is used before it is made")
        return value

    def put(self, number: int, fence: int, pos: int) -> None:
        if len(self.stack) <= fence:
            self.underflow(pos)
        value, memo = self.stack[-1], self.memo
        if number == len(memo):
            memo.append(value)
        elif number < len(memo):
            memo[number] = value
            if self.templates:
                self.templates.forget()
        elif number == 1:  # cPickle of Python 2 counts from 1
            memo += (MISSING, value)
        elif number > self.size:
            self.fail(pos, f"memo entry {number:,} in a file of {self.size:,} bytes")
        else:
            self.count_container(pos)
            self.sparse[number] = value

    def fence(self) -> int:
        return self.marks[-1] if self.marks else 0

    # -- texts and bytes

    def text(self, pos: int, length: int, encoding: str = "utf-8") -> int:
        end, stack = pos + length, self.stack
        if end > self.size:
            self.truncated(pos, f"a text of {length:,} bytes")
        for_array = stack and stack[-1] is ENCODE
        if for_array and length > WIDEST[encoding]:
            stack.append(_Span(pos, length, encoding))
            self.release(end)
            return end
        codec = "utf-8" if encoding == "utf-8" else "raw_unicode_escape"
        try:
            text = str(self.buffer[pos:end], codec, "surrogatepass")
        except UnicodeDecodeError:
            self.fail(pos, f"a text of {length:,} bytes is not {codec}")
        # A text of one character may be shared with other values; a longer one is this array's alone.
        stack.append(_Span(pos, length, encoding) if for_array and len(text) > 1 else text)
        return end

    def written_text(self, pos: int) -> int:
        text, end = self.line(pos)
        self.text(pos, len(text), "escaped")
        return end

    def binary(self, pos: int, length: int, make: Callable[[bytes], Any] = bytes) -> int:
        """Bytes, or whatever `make` makes of them where they are not an array's."""
        end = pos + length
        if end > self.size:
            self.truncated(pos, f"{length:,} bytes")
        self.release(end)
        if length > 1 and self.array_data_next():
            self.stack.append(_Span(pos, length, "raw"))
        else:
            self.stack.append(make(self.buffer[pos:end]))
        return end

    def quoted(self, pos: int) -> int:
        text, end = self.line(pos)
        if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
            self.fail(pos - 1, "a string without its quotes")
        if len(text) - 2 > WIDEST["quoted"] and self.array_data_next():
            self.stack.append(_Span(pos + 1, len(text) - 2, "quoted"))
            return end
        try:
            value = DECODERS["quoted"](text[1:-1]).decode("latin-1")
        except (KeyError, ValueError):
            self.fail(pos - 1, "a string with an unknown escape")
        if len(value) > 1 and self.array_data_next():
            self.stack.append(_Span(pos + 1, len(text) - 2, "quoted"))
        else:
            self.stack.append(value)
        return end

    def array_data_next(self) -> bool:
        """Whether the next value is an array's bytes: (1, shape, dtype, is_fortran, *data*)."""
        stack = self.stack
        return bool(stack) and (
            stack[-1] is FROMBUFFER
            or (len(stack) > 1 and type(stack[-2]) is NewDtype and type(stack[-1]) in (bool, int))
        )

    def encode(self, args: tuple[Any, ...], pos: int) -> Any:
        match args:
            case (_Span() as span, "latin1") if not span.used:
                if self.array_data_next():
                    return span
                span.used = True
                return self.decode(span, pos)
            case (str(text), "latin1") if len(text) <= 1:  # Python keeps one object for each of these
                return self.decode(text, pos)
        self.refuse(pos, "_codecs.encode other than for the bytes of one array, in latin1")

    def decode(self, data: _Span | str | bytes, pos: int) -> bytes:
        try:
            if isinstance(data, _Span):
                return DECODERS[data.encoding](self.buffer[data.offset : data.offset + data.length])
            return data.encode("latin-1") if isinstance(data, str) else data
        except (KeyError, ValueError):
            self.fail(pos, "bytes that are written as a text hold a character beyond latin1")

    # -- numbers

    def integer(self, value: int, pos: int) -> None:
        if not -(2**63) <= value < 2**64:
            self.fail(pos, "an integer of more than 64 bits", _NO_SKELETONS)
        self.stack.append(value)

    def written_int(self, pos: int) -> int:
        text, end = self.line(pos, 40)
        if text in (b"00", b"01"):
            self.stack.append(text == b"01")
        else:
            try:
                value = int(text.removesuffix(b"L"))
            except ValueError:
                self.fail(pos, f"a number is written as {_shown(text)}")
            self.integer(value, pos)
        return end

    def written_float(self, pos: int) -> int:
        text, end = self.line(pos, 40)
        try:
            self.stack.append(float(text))
        except ValueError:
            self.fail(pos, f"a number is written as {_shown(text)}")
        return end

    def written_index(self, pos: int) -> tuple[int, int]:
        text, end = self.line(pos, 40)
        if not text.isdigit():
            self.fail(pos, f"a memo number is written as {_shown(text)}")
        return int(text), end

    def long1(self, pos: int) -> int:
        end = pos + 1 + self.buffer[pos]
        if end > self.size:
            self.truncated(pos, "a number")
        self.integer(int.from_bytes(self.buffer[pos + 1 : end], "little", signed=True), pos)
        return end

    # -- containers

    def take_dicts(self, pos: int) -> int:
        """Push the dict that begins at `pos`: whole, with those that follow it, if templates fit; else empty."""
        templates, buffer = self.templates, self.buffer
        taken = templates.take(pos, self.frame_end) if templates else None
        if taken is None:
            self.new({}, pos)
            return pos + 1
        while taken and templates:
            value, pos = taken
            self.stack.append(value)
            self.frame_end = templates.frame_end
            taken = templates.take(pos, self.frame_end) if buffer[pos : pos + 1] == b"}" else None
        self.release(pos)
        return pos

    def new(self, value: Any, pos: int) -> None:
        self.count_container(pos)
        self.stack.append(value)

    def close_tuple(self, items: list[Any], pos: int) -> None:
        self.new(tuple(items), pos)

    def close_list(self, items: list[Any], pos: int) -> None:
        self.new(items, pos)

    def close_dict(self, items: list[Any], pos: int) -> None:
        self.new({}, pos)
        self.set_items(items, pos)

    def join(self, pos: int, count: int) -> int:
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.new(items, pos - 1)
        return pos

    def append_items(self, items: list[Any], pos: int) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            self.refuse(pos, f"APPEND to {_kind(target)}")
        target += items

    def set_items(self, items: list[Any], pos: int) -> None:
        target, keys = self.stack[-1], items[::2]
        if type(target) is not dict and type(target) is not collections.OrderedDict:
            self.refuse(pos, f"SETITEM on {_kind(target)}")
        if self.templates and id(target) in self.templates.taken:
            raise NeedSteps
        if len(items) % 2:
            self.fail(pos, "a dict key without a value")
        for key in keys:
            # Other keys can be made so that hashing them takes for ever.
            kind = type(key)
            if kind is not str and kind is not int and not (kind is float and math.isfinite(key)):
                self.fail(pos, f"a dict key is {_kind(key)}; keys are texts or plain numbers", _NO_SKELETONS)
        expected = len(target) + len(keys)
        target.update(zip(keys, items[1::2], strict=True))
        if len(target) != expected:
            self.fail(pos, "a dict has one key twice")

    def append(self, pos: int) -> int:
        self.append_items([self.stack.pop()], pos - 1)
        return pos

    def set_item(self, pos: int) -> int:
        items = self.stack[-2:]
        del self.stack[-2:]
        self.set_items(items, pos - 1)
        return pos

    # -- names, and what good files do with them

    def name(self, module: Any, name: Any, pos: int) -> None:
        if type(module) is not str or type(name) is not str:
            self.fail(pos, "a name that is no text")
        mark = _NAMES.get((module, name))
        if mark is None:
            advice = ""
            if module.split(".")[0] == "torch":
                advice = (
                    "It holds torch objects: where it was made, turn tensors into arrays with .numpy() "
                    "and save plain dicts and lists with pickle."
                )
            self.refuse(pos, f"the name {_shown(f'{module}.{name}')}", advice)
        self.stack.append(mark)

    def written_name(self, pos: int) -> int:
        module, end = self.line(pos, 1000)
        name, end = self.line(end, 1000)
        self.name(module.decode("utf-8", "replace"), name.decode("utf-8", "replace"), pos - 1)
        return end

    def stack_name(self, pos: int) -> int:
        name = self.stack.pop()
        self.name(self.stack.pop(), name, pos - 1)
        return pos

    def reduce(self, pos: int) -> int:
        args, mark = self.stack.pop(), self.stack.pop()
        if type(args) is not tuple or type(mark) is not Mark:
            self.refuse(pos - 1, f"a call of {_kind(mark)}")
        call = _CALLS.get(mark)
        if call is None:
            self.refuse(pos - 1, f"a call of {mark.name}")
        self.stack.append(call(self, args, pos - 1))
        return pos

    def reconstruct(self, args: tuple[Any, ...], pos: int) -> ArrayHandle:
        match args:
            case (mark, (0,), b"b" | "b") if mark is NDARRAY:
                self.count_container(pos)
                return _Shell.__new__(_Shell)
        self.refuse(pos, "_reconstruct other than for a numpy array")

    def new_dtype(self, args: tuple[Any, ...], pos: int) -> NewDtype:
        match args:
            case (str(code), 0, 1):
                if not any((code, order) in _DTYPES for order in "|<"):
                    self.refuse(pos, f"the numpy dtype {_shown(code)}")
                return NewDtype(code)
        self.refuse(pos, "an unusual numpy dtype")

    def empty_bytes(self, args: tuple[Any, ...], pos: int) -> bytes:
        if args:
            self.refuse(pos, "bytes(...) with an argument")
        return b""

    def ordered_dict(self, args: tuple[Any, ...], pos: int) -> Any:
        self.new(collections.OrderedDict(), pos)
        self.count_container(pos)  # it takes more than two dicts
        match args:
            case ():
                pass
            case (list(pairs),):  # Python 2
                self.count_container(pos, len(pairs))
                for pair in pairs:
                    if type(pair) is not list or len(pair) != 2:
                        self.fail(pos, "an OrderedDict made of something else than pairs")
                    self.set_items(pair, pos)
            case _:
                self.refuse(pos, "an unusual OrderedDict")
        return self.stack.pop()

    def scalar(self, args: tuple[Any, ...], pos: int) -> Any:
        match args:
            case (NewDtype(dtype=np.dtype() as dtype), (bytes() | str()) as value):
                data = self.decode(value, pos)
                if len(data) != dtype.itemsize:
                    self.fail(pos, f"a number of dtype {dtype} made of {len(data):,} bytes")
                return np.frombuffer(data, dtype)[0]
        self.refuse(pos, "an unusual numpy scalar")

    def from_buffer(self, args: tuple[Any, ...], pos: int) -> ArrayHandle:
        match args:
            case (data, dtype, shape, ("C" | "F") as order):
                pass
            case (data, dtype, tuple() as shape, "K", tuple() as order):
                if set(map(type, order)) - {int} or sorted(order) != list(range(len(shape))):
                    self.fail(pos, "an array whose axes are no order of its dimensions")
            case _:
                self.refuse(pos, "an unusual array buffer")
        return self.array(shape, dtype, order, data, pos)

    def build(self, pos: int) -> int:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is _Shell:
            match state:
                case (1, shape, dtype, (0 | 1) as fortran, data):
                    made = self.array(shape, dtype, "F" if fortran else "C", data, pos - 1)
                case _:
                    self.refuse(pos - 1, "an unusual array state")
            # The memo may hold the shell: it becomes the array. numpy gives it the machine's byte order.
            form = made.form._replace(dtype=made.dtype.newbyteorder("="), swapped=not made.dtype.isnative)
            target.__init__(made.source, made.offset, made.length, made.stored_shape, form)  # type: ignore[misc]
            target.__class__ = ArrayHandle  # type: ignore[assignment]
        elif type(target) is NewDtype and target.dtype is None:
            match state:
                case (3, str(order), None, None, None, -1, -1, 0) if (target.code, order) in _DTYPES:
                    target.dtype = _DTYPES[target.code, order]
                case _:
                    self.refuse(pos - 1, f"an unusual state of the numpy dtype {target.code}")
        else:
            self.refuse(pos - 1, f"BUILD on {_kind(target)}")
        return pos

    def array(self, shape: Any, dtype: Any, order: str | tuple[int, ...], data: Any, pos: int) -> ArrayHandle:
        if type(dtype) is not NewDtype or dtype.dtype is None:
            self.refuse(pos, "an array without a dtype")
        if type(shape) is not tuple or len(shape) > _MOST_SIDES or set(map(type, shape)) - {int}:
            self.fail(pos, "the shape of an array is no tuple of a few sizes")
        if not all(0 <= side < MAX_SIDE for side in shape):
            self.fail(pos, f"an array has the shape {str(shape)[:60]}", _NO_SKELETONS)
        if math.prod(n for n in shape if n) >= MAX_SIDE**2:
            self.fail(pos, f"an array has the shape {str(shape)[:60]}", _NO_SKELETONS)
        nbytes = math.prod(shape) * dtype.dtype.itemsize
        source: Source = self.source
        if type(data) is _Span and not data.used:
            data.used = True
            offset, length, encoding = data.offset, data.length, data.encoding
        elif type(data) in (bytes, bytearray, str) and len(data) <= 1:
            # Python keeps one object for b"" and for each single byte: such arrays share it.
            raw = self.decode(bytes(data) if type(data) is bytearray else data, pos)
            source, offset, length, encoding = BytesSource(raw, self.source.path), 0, len(raw), "raw"
        else:
            self.refuse(pos, f"an array made of {_kind(data)}, or of bytes that another array has")
        if not nbytes <= length <= nbytes * WIDEST[encoding]:
            self.fail(pos, f"an array of shape {shape} and dtype {dtype.dtype} made of {length:,} bytes")
        return ArrayHandle(source, offset, length, shape, Form(dtype.dtype, encoding, order))

    # -- instructions that no data set needs

    def unneeded(self, pos: int) -> NoReturn:
        op = self.buffer[pos - 1]
        if op in _UNNEEDED:
            self.refuse(pos - 1, f"the instruction {_UNNEEDED[op]}")
        self.fail(pos - 1, f"{op:#04x} is no instruction of a pickle")

    def protocol(self, pos: int) -> int:
        version = self.buffer[pos]
        if pos != 1 or version > 5:
            self.fail(pos - 1, f"pickle protocol {version} is announced", "Protocols 0 to 5 exist.")
        return pos + 1


_CLOSING: dict[int, tuple[Callable[[_Machine, list[Any], int], None], int]] = {
    # instruction: what it does, and how many values it needs below the mark
    0x75: (_Machine.set_items, 1),  # SETITEMS
    0x74: (_Machine.close_tuple, 0),  # TUPLE
    0x65: (_Machine.append_items, 1),  # APPENDS
    0x6C: (_Machine.close_list, 0),  # LIST
    0x64: (_Machine.close_dict, 0),  # DICT
}


_Step = Callable[[_Machine, int], int]


def _constant(value: Any) -> _Step:
    def step(machine: _Machine, pos: int) -> int:
        machine.stack.append(value)
        return pos

    return step


def _container(make: Callable[[], Any]) -> _Step:
    def step(machine: _Machine, pos: int) -> int:
        machine.new(make(), pos - 1)
        return pos

    return step


def _number(packed: struct.Struct) -> _Step:
    def step(machine: _Machine, pos: int) -> int:
        machine.stack.append(packed.unpack_from(machine.buffer, pos)[0])
        return pos + packed.size

    return step


def _sized(packed: struct.Struct, take: Callable[[_Machine, int, int], int]) -> _Step:
    """An instruction that is followed by a length and as many bytes."""

    def step(machine: _Machine, pos: int) -> int:
        return take(machine, pos + packed.size, packed.unpack_from(machine.buffer, pos)[0])

    return step


def _old_string(machine: _Machine, pos: int, length: int) -> int:
    if length < 0:
        machine.fail(pos, "a string of negative length")
    return machine.binary(pos, length, lambda data: data.decode("latin-1"))


def _byte_array(machine: _Machine, pos: int, length: int) -> int:
    return machine.binary(pos, length, bytearray)


def _binput(machine: _Machine, pos: int) -> int:
    machine.put(machine.buffer[pos], machine.fence(), pos - 1)
    return pos + 1


def _written_put(machine: _Machine, pos: int) -> int:
    number, end = machine.written_index(pos)
    machine.put(number, machine.fence(), pos - 1)
    return end


def _written_get(machine: _Machine, pos: int) -> int:
    number, end = machine.written_index(pos)
    machine.stack.append(machine.get(number, pos - 1))
    return end


# instruction: what it does, and how many values it takes from the stack
_STEPS: list[tuple[_Step, int]] = [(_Machine.unneeded, 0)] * 256
for _op, _step, _needs in (
    (0x80, _Machine.protocol, 0),  # PROTO
    (0x95, _Machine.enter_frame, 0),  # FRAME
    (0x4E, _constant(None), 0),  # NONE
    (0x88, _constant(True), 0),  # NEWTRUE
    (0x89, _constant(False), 0),  # NEWFALSE
    (0x4A, _number(_INT32), 0),  # BININT
    (0x47, _number(_FLOAT64), 0),  # BINFLOAT
    (0x8A, _Machine.long1, 0),  # LONG1
    (0x49, _Machine.written_int, 0),  # INT
    (0x4C, _Machine.written_int, 0),  # LONG
    (0x46, _Machine.written_float, 0),  # FLOAT
    (0x8D, _sized(_UINT64, _Machine.text), 0),  # BINUNICODE8
    (0x56, _Machine.written_text, 0),  # UNICODE
    (0x43, _sized(_UINT8, _Machine.binary), 0),  # SHORT_BINBYTES
    (0x42, _sized(_UINT32, _Machine.binary), 0),  # BINBYTES
    (0x8E, _sized(_UINT64, _Machine.binary), 0),  # BINBYTES8
    (0x96, _sized(_UINT64, _byte_array), 0),  # BYTEARRAY8
    (0x55, _sized(_UINT8, _old_string), 0),  # SHORT_BINSTRING
    (0x54, _sized(_INT32, _old_string), 0),  # BINSTRING
    (0x53, _Machine.quoted, 0),  # STRING
    (0x5D, _container(list), 0),  # EMPTY_LIST
    (0x29, _constant(()), 0),  # EMPTY_TUPLE
    (0x85, partial(_Machine.join, count=1), 1),  # TUPLE1
    (0x86, partial(_Machine.join, count=2), 2),  # TUPLE2
    (0x87, partial(_Machine.join, count=3), 3),  # TUPLE3
    (0x61, _Machine.append, 2),  # APPEND
    (0x73, _Machine.set_item, 3),  # SETITEM
    (0x71, _binput, 1),  # BINPUT
    (0x70, _written_put, 1),  # PUT
    (0x67, _written_get, 0),  # GET
    (0x63, _Machine.written_name, 0),  # GLOBAL
    (0x93, _Machine.stack_name, 2),  # STACK_GLOBAL
    (0x52, _Machine.reduce, 2),  # REDUCE
    (0x62, _Machine.build, 2),  # BUILD
):
    _STEPS[_op] = (_step, _needs)

_CALLS: dict[Mark, Callable[[_Machine, tuple[Any, ...], int], Any]] = {
    RECONSTRUCT: _Machine.reconstruct,
    DTYPE: _Machine.new_dtype,
    SCALAR: _Machine.scalar,
    FROMBUFFER: _Machine.from_buffer,
    ENCODE: _Machine.encode,
    BYTES: _Machine.empty_bytes,
    ORDERED_DICT: _Machine.ordered_dict,
}


# ----------------------------------------------------------------------------------------------------
# The door


def read(file: str | os.PathLike[str] | bytes | Source) -> Any:
    """Read a pickle as data: plain values, with an `ArrayHandle` in the place of each array.

    Parameters
    ----------
    file
        A path, the bytes of a pickle, or a source that was opened before.

    Returns
    -------
    object
        None, bool, int, float, str, bytes, list, tuple, dict, OrderedDict, numpy scalars and `ArrayHandle`.

    Raises
    ------
    UnsafePickleError
        The pickle asks for something that data does not need; the message names it.
    FormatError
        The file is empty, truncated, damaged, too deeply nested, or no pickle.
    FileNotFoundError
        There is no such file.

    Examples
    --------
    >>> import pickle
    >>> read(pickle.dumps({"label": 8, "img_shape": (1080, 1920)}))
    {'label': 8, 'img_shape': (1080, 1920)}
    """
    source: Source
    if isinstance(file, bytes):
        source = BytesSource(file)
    else:
        source = file if isinstance(file, (FileSource, BytesSource)) else FileSource(file)
    if source.size == 0:
        raise FormatError(f"{source.path} is empty. Get the file again.")
    buffer = source.map()
    # Values without cycles are made by the hundred thousand: looking for garbage in them costs a third more.
    collecting = gc.isenabled()
    gc.disable()
    try:
        _reject_other_formats(source.path, buffer[:512])
        try:
            value = _Machine(source, buffer).run()
        except NeedSteps:
            value = _Machine(source, buffer, templates=False).run()
    finally:
        if collecting:
            gc.enable()
        if isinstance(buffer, mmap.mmap):  # an error that is kept for a traceback would keep it too
            buffer.close()
    source.check_unchanged()
    return value


_OTHER_FORMATS = (
    (b"version https://git-lfs", "a git-LFS pointer, not the file. Run `git lfs pull` where you cloned it"),
    (b"\x1f\x8b", "compressed with gzip. Decompress it first (gunzip)"),
    (b"PK\x03\x04", "a zip archive. If numpy wrote it (.npz), read it with numpy.load and build annotations from its "
     "arrays; if torch did, turn tensors into arrays with .numpy() where it was made and save plain dicts and lists "
     "with pickle; otherwise unpack it"),
    (b"\x93NUMPY", "a numpy .npy array. Read it with numpy.load and build annotations from it"),
    (b"\x89HDF", "an HDF5 file. Read it with h5py and build annotations from it"),
    (b"BZh", "compressed with bzip2. Decompress it first (bunzip2)"),
    (b"\xfd7zXZ", "compressed with xz. Decompress it first (unxz)"),
    (b"7z\xbc\xaf", "a 7-Zip archive. Unpack it first"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a file that torch.save wrote. Where it was made, turn "
     "tensors into arrays with .numpy() and save plain dicts and lists with pickle"),
)  # fmt: skip

# Protocols 0 and 1 do not say that they are pickles, and 0 is text. No prose begins as they do: with marks,
# then a container, a name on its line, a number, a quoted string, or an instruction with a binary argument.
_OLD_PICKLE = re.compile(
    rb"\(*(?:[\])}]|[dl][p.(cFILNSVg]|c[\w.]+\n[\w.]+\n|[FIL]-?[\d.]+L?\n|S['\"]|V[^\n]*\n[p.]|N\."
    rb"|[BCGJKMTUX].{0,8}[\x00-\x08])",
    re.DOTALL,
)


def _reject_other_formats(path: str, head: bytes) -> None:
    """Say what a file is that is often met in the place of a pickle."""
    for magic, what in _OTHER_FORMATS:
        if head.startswith(magic):
            raise FormatError(f"{path} is {what}.")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise FormatError(
            f"{path} is a web page, not a pickle: the server answered with a page, perhaps an error. "
            "Open it in a browser to see what it says, and download the file again."
        )
    if head[:1] == b"\x80" or _OLD_PICKLE.match(head):
        return
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = error.start >= len(head) - 3  # a character that was cut off
    else:
        text = b"\0" not in head
    what, advice = "no pickle", "Get the file again, or read it with the tool that wrote it."
    if text:
        what = "text, not a pickle"
        advice = "If it is JSON, CSV or the like, read it with its own tool and build annotations from it."
    raise FormatError(f"{path} is {what}: it begins with {_shown(head[:20])}. {advice}")
