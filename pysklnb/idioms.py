"""Take a whole dict of a pickle in a few steps, where the pickler wrote it as it wrote one before.

A data set is tens of thousands of dicts that differ in numbers, names and bytes of arrays only: the
instructions between those are the same. A `Template` learns them from one dict and takes the next ones by it.
It is a shortcut of the machine in `reader`, never another opinion: it takes a dict only if every instruction
and every memo number is the one it was learned from, and otherwise leaves the dict to the machine, one
instruction at a time.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Iterator
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from .sources import DECODERS, WIDEST, ArrayHandle, Form, Source


class Mark:
    """A name from the file. It stands for itself and does nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


RECONSTRUCT = Mark("numpy.core.multiarray._reconstruct")
NDARRAY = Mark("numpy.ndarray")
DTYPE = Mark("numpy.dtype")
SCALAR = Mark("numpy.core.multiarray.scalar")
FROMBUFFER = Mark("numpy.core.numeric._frombuffer")
ENCODE = Mark("_codecs.encode")
BYTES = Mark("__builtin__.bytes")
ORDERED_DICT = Mark("collections.OrderedDict")

SKIPPED = Mark("skipped")  # a memo entry inside what a template took; nothing good refers to it
MISSING = Mark("missing")


class NeedSteps(Exception):
    """The file refers to something that a template passed over: read it again without templates."""


class NewDtype:
    """A numpy dtype under construction; `dtype` is None until its one BUILD."""

    __slots__ = ("code", "dtype")

    def __init__(self, code: str) -> None:
        self.code = code
        self.dtype: np.dtype[Any] | None = None


MAX_SIDE = 2**31  # of an array; the product of the sides stays below its square


class _Unlike(Exception):
    """This dict holds something that templates do not know."""


_LITERALS = {b"N": None, b"\x88": True, b"\x89": False}
_INTS = {b"K": "B", b"M": "H", b"J": "i"}  # and their arguments, as `struct` names them
_TEXTS = {b"X": "I", b"\x8c": "B", b"U": "B"}
# An array's bytes are a text (to be encoded as latin-1), plain bytes, or a buffer of protocol 5.
_DATA = {
    "utf-8": {b"X": "I"},
    "raw": {b"C": "B", b"B": "I", b"\x8e": "Q", b"U": "B", b"T": "I"},
    "buffer": {b"\x96": "Q", b"C": "B", b"B": "I", b"\x8e": "Q"},
}
_FLAT = frozenset([type(None), bool, int, float, str])
_BIG_FLOAT = struct.Struct(">d")
# A number below 256 has an instruction of its own: a record of Kinetics, with seven numbers on either side of that,
# is written in nearly a hundred ways.
_MOST_TEMPLATES = 128
# A dict that is compared with each template in vain must not cost much: no template is long, and where it
# differs shows soon. Long tuples can be made to hash alike.
_MOST_INSTRUCTIONS = 4096
_LONG_CHUNK = 256
_MOST_INTS = 8
# Dicts that no template fits, before templates are given up.
_MISSES = 512
# Templates that are tried for one dict, on average, before they cost as much as its single steps.
_MOST_TRIES = 24


class _Chunk(NamedTuple):
    """Instructions between two payloads: `size` bytes that are `literal` under `mask`, and what holes hold.

    Memo numbers count up from dict to dict: `literal` has them for a dict whose first is 0, and `counting`
    has a 1 in the place of each, so that `literal + first * counting` is what a dict must look like.
    """

    size: int
    mask: int
    literal: int
    counting: int
    unpack: Callable[[bytes], tuple[Any, ...]]
    has_payload: bool


# A value of a template: the list that has it (an attribute of `Template`), and its place there.
_Ref = tuple[str, int]
_NOTHING: _Ref = ("literals", 0)  # SKIPPED


class Template:
    """The instructions of one dict, with holes. `Template(buffer, pos, memo)` learns from the dict at `pos`.

    Attributes
    ----------
    chunks : list of _Chunk
        The instructions, cut where bytes of unknown number follow (a text, an array). The last hole of a
        chunk is the size of that payload. Holes are numbered through all chunks.
    frames : list of (number of payloads before, offset from the last of them, hole, header)
        Where frames begin inside. A `header` other than 0 says that the payload before it stands, with that
        many bytes of instruction, between two frames.
    literals, tuples, floats, gots, texts, scalars, arrays, lists : list
        What values are made of: themselves; ranges of holes; single holes; memo entries of other dicts;
        payloads with their codec; payloads with their encoding and dtype; payloads with the range of holes that is
        the shape, the form and the size of an element; pickers of their items from the pool.
    dicts : list of (keys, places of the values)
        The dicts that are made, the outer one last. A place is one in the *pool*: all holes, then all
        literals, tuples and so on, in the order above, then the dicts that were made before.
    nodes : int
        Number of values in the dicts and their tuples.
    entries : callable
        Picks the memo entries that the pickler made from the pool.
    """

    _POOL = ("holes", "literals", "tuples", "floats", "gots", "texts", "scalars", "arrays", "lists", "dicts")

    def __init__(self, buffer: mmap.mmap | bytes, pos: int, memo: list[Any]) -> None:
        self._buffer, self._memo = buffer, memo
        self._start = self._pos = self._resumed = pos
        self._chunk_holes: list[tuple[int, str]] = []
        self._chunk_numbers: list[tuple[int, int]] = []
        self._payloads = self._puts = self._header = 0
        self._room = _MOST_INSTRUCTIONS
        self._entries: list[_Ref] = []
        self._made: list[tuple[tuple[Any, ...], list[_Ref]]] = []
        self._items: list[list[_Ref]] = []

        self.holes: list[None] = []
        self.chunks: list[_Chunk] = []
        self.frames: list[tuple[int, int, int, int]] = []
        self.literals: list[Any] = [SKIPPED]
        self.tuples: list[tuple[int, int]] = []
        self.floats: list[int] = []
        self.gots: list[int] = []
        self.texts: list[tuple[int, str]] = []
        self.scalars: list[tuple[int, str, np.dtype[Any]]] = []
        self.arrays: list[tuple[int, int, int, Form, int, int]] = []
        self._dict(depth=1)
        self._cut(has_payload=False)
        if self._puts not in (0, len(self._entries)):
            raise _Unlike

        sizes = [len(getattr(self, part)) for part in self._POOL[:-2]]
        self._base = dict(zip(self._POOL, accumulate([*sizes, len(self._items)], initial=0), strict=True))
        self.lists = [self._pick(refs) for refs in self._items]
        self.dicts = [(keys, self._pick(refs)) for keys, refs in self._made]
        # A list can be made to hold something else, or itself: to refer to it from elsewhere is not for templates.
        self.entries = self._pick([_NOTHING if ref[0] == "lists" else ref for ref in self._entries])
        self.nodes = sum(len(keys) for keys, _ in self._made) + sum(map(len, self._items)) + len(self.holes)
        del self._buffer, self._memo

    def _pick(self, refs: list[_Ref]) -> Callable[[list[Any]], tuple[Any, ...]]:
        places = [self._base[part] + place for part, place in refs]
        if len(places) < 2:  # of a single place, `itemgetter` gives no tuple
            return lambda pool: tuple(pool[place] for place in places)
        return itemgetter(*places)

    # -- learning: each method passes over some instructions

    def _peek(self) -> bytes:
        return self._buffer[self._pos : self._pos + 1]

    def _literal(self, code: bytes) -> None:
        if self._buffer[self._pos : self._pos + len(code)] != code:
            raise _Unlike
        self._pos += len(code)

    def _hole(self, code: str) -> int:
        """An argument that may differ, `code` as `struct` has it; returns the number of the hole."""
        self._chunk_holes.append((self._pos - self._start, code))
        self._pos += struct.calcsize(f"<{code}")
        self.holes.append(None)
        return len(self.holes) - 1

    def _instruction(self, known: dict[bytes, str]) -> int:
        op = self._peek()
        if op not in known:
            raise _Unlike
        self._pos += 1
        return self._hole(known[op])

    def _put(self, value: _Ref = _NOTHING) -> None:
        """The making of a memo entry, if there is one; nothing good refers to most, which are SKIPPED."""
        op = self._peek()
        if op == b"r":
            self._chunk_numbers.append((self._pos + 1 - self._start, len(self._entries)))
            self._pos += 5
            self._puts += 1
        elif op == b"\x94":
            self._pos += 1
        else:
            return
        self._entries.append(value)

    def _get(self) -> Any:
        """A memo entry that all these dicts share, such as a key or a dtype."""
        width = {b"h": 1, b"j": 4}.get(self._peek(), 0)
        number = int.from_bytes(self._buffer[self._pos + 1 : self._pos + 1 + width], "little")
        if not width or number >= len(self._memo):
            raise _Unlike
        self._pos += 1 + width
        return self._memo[number]

    def _expect(self, *values: Any) -> None:
        if self._get() not in values:
            raise _Unlike

    def _cut(self, has_payload: bool) -> None:
        size = self._pos - self._start
        self._room -= size
        if self._room < 0:
            raise _Unlike
        code = bytearray(self._buffer[self._start : self._pos])
        mask, counting, layout, done = bytearray(b"\xff" * size), 0, "<", 0
        for offset, hole in self._chunk_holes:
            layout += f"{offset - done}x{hole}"
            done = offset + struct.calcsize(f"<{hole}")
            code[offset:done] = mask[offset:done] = bytes(done - offset)
        for offset, number in self._chunk_numbers:
            code[offset : offset + 4] = number.to_bytes(4, "little")
            counting |= 1 << 8 * offset
        layout += f"{size - done}x"
        literal = int.from_bytes(code, "little")
        self.chunks.append(
            _Chunk(
                size,
                int.from_bytes(mask, "little"),
                literal,
                counting,
                struct.Struct(layout).unpack,
                has_payload,
            )
        )
        self._chunk_holes, self._chunk_numbers, self._start = [], [], self._pos

    def _payload(self, known: dict[bytes, str]) -> int:
        """An instruction with its payload; returns the number of the payload."""
        begin = self._pos
        self._instruction(known)
        self._header = self._pos - begin
        size = int.from_bytes(self._buffer[self._start + self._chunk_holes[-1][0] : self._pos], "little")
        self._cut(has_payload=True)
        self._pos += size
        self._start = self._resumed = self._pos
        self._payloads += 1
        return self._payloads - 1

    def _tuple(self) -> tuple[int, int] | None:
        """A tuple of ints, if one is made here; returns the range of its holes."""
        marked = self._peek() == b"("
        end, count = self._pos + marked, 0
        while count < _MOST_INTS and (op := self._buffer[end : end + 1]) in _INTS:
            end += 1 + struct.calcsize(_INTS[op])
            count += 1
        closing = b"t" if marked else {1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(count)
        if not count or self._buffer[end : end + 1] != closing:
            return None
        self._pos += marked
        first = len(self.holes)
        for _ in range(count):
            self._instruction(_INTS)
        self._pos += 1
        return first, len(self.holes)

    def _dict(self, depth: int) -> _Ref:
        self._literal(b"}")
        self._put()
        items: list[tuple[Any, _Ref]] = []
        if self._peek() == b"(":
            self._literal(b"(")
            while self._peek() != b"u":
                items.append((self._key(), self._value(depth)))
                self._frame()
                if self._pos - self._start > _LONG_CHUNK:
                    self._cut(has_payload=False)
            self._literal(b"u")
        else:
            items.append((self._key(), self._value(depth)))
            self._literal(b"s")
        keys, values = zip(*items, strict=True) if items else ((), ())
        if len(set(keys)) != len(keys):
            raise _Unlike
        self._made.append((keys, list(values)))
        return "dicts", len(self._made) - 1

    def _key(self) -> str | float:
        if self._peek() == b"G":
            key = _BIG_FLOAT.unpack_from(self._buffer, self._pos + 1)[0]
            self._pos += 9
        else:
            key = self._get()
        if type(key) is str or (type(key) is float and math.isfinite(key)):
            return key
        raise _Unlike

    def _value(self, depth: int) -> _Ref:
        op = self._peek()
        if op in _LITERALS:
            self._literal(op)
            self.literals.append(_LITERALS[op])
            return "literals", len(self.literals) - 1
        if op in _TEXTS:
            self.texts.append((self._payload(_TEXTS), "latin-1" if op == b"U" else "utf-8"))
            return self._put_as("texts")
        if op == b"G":
            self._literal(op)
            self.floats.append(self._hole("8s"))
            return "floats", len(self.floats) - 1
        if op == b"}" and depth == 1:
            return self._dict(depth + 1)
        if op == b"]":
            return self._list()
        if op in (b"h", b"j"):
            return self._got()
        holes = self._tuple()
        if holes:
            self.tuples.append(holes)
            return self._put_as("tuples")
        return "holes", self._instruction(_INTS)

    def _list(self) -> _Ref:
        """A list of a few numbers."""
        self._literal(b"]")
        self._items.append([])
        ref = "lists", len(self._items) - 1
        self._put(ref)
        if self._peek() == b"(":
            self._literal(b"(")
            while self._peek() != b"e":
                self._item()
            self._literal(b"e")
        else:
            self._item()
            self._literal(b"a")
        return ref

    def _item(self) -> None:
        items = self._items[-1]
        if self._peek() not in (b"G", *_INTS, *_LITERALS) or len(items) == _MOST_INTS:
            raise _Unlike
        items.append(self._value(depth=2))

    def _put_as(self, part: str) -> _Ref:
        ref = part, len(getattr(self, part)) - 1
        self._put(ref)
        return ref

    def _got(self) -> _Ref:
        op, start = self._peek(), self._pos
        number = int.from_bytes(self._buffer[start + 1 : start + (2 if op == b"h" else 5)], "little")
        within = number - len(self._memo)
        if within >= 0:  # an entry that this dict has just made
            if within >= len(self._entries) or self._entries[within] == _NOTHING or op == b"h":
                raise _Unlike
            self._chunk_numbers.append((start + 1 - self._start, within))
            self._pos += 5
            return self._entries[within]
        if self._memo[number] is RECONSTRUCT:
            return self._array()
        if self._memo[number] is FROMBUFFER:
            return self._buffered_array()
        if self._memo[number] is SCALAR:
            return self._scalar()
        self.gots.append(self._instruction({b"h": "B", b"j": "I"}))
        return "gots", len(self.gots) - 1

    def _dtype(self) -> np.dtype[Any]:
        match self._get():
            case NewDtype(dtype=np.dtype(isnative=True) as dtype):
                return dtype
        raise _Unlike

    def _shape(self) -> tuple[int, int]:
        holes = self._tuple()
        if holes is None:
            raise _Unlike
        self._put()
        return holes

    def _data(self, encoding: str) -> int:
        payload = self._payload(_DATA[encoding])
        self._frame()
        self._put()
        self._frame()
        return payload

    def _frame(self) -> None:
        """The beginning of a frame, if there is one: picklers have them behind the bytes of arrays."""
        if self._peek() == b"\x95":
            offset = self._pos - self._resumed
            self._pos += 1
            header = 0 if offset else self._header
            self.frames.append((self._payloads, offset, self._hole("Q"), header))

    def _array(self) -> _Ref:
        self._expect(RECONSTRUCT)
        self._expect(NDARRAY)
        self._literal(b"K\x00\x85")
        self._put()
        self._expect(b"b", "b")
        self._literal(b"\x87")
        self._put()
        self._literal(b"R")
        ref = "arrays", len(self.arrays)
        self._put(ref)
        self._literal(b"(K\x01")
        shape = self._shape()
        dtype = self._dtype()
        order = "F" if self._peek() == b"\x88" else "C"
        self._literal(b"\x88" if order == "F" else b"\x89")
        payload, encoding = self._bytes()
        self._literal(b"t")
        self._put()
        self._literal(b"b")
        self.arrays.append((payload, *shape, Form(dtype, encoding, order), dtype.itemsize, WIDEST[encoding]))
        return ref

    def _bytes(self) -> tuple[int, str]:
        """The bytes of an array or a number; returns the number of the payload and its encoding."""
        if self._peek() not in (b"h", b"j"):
            return self._data("raw"), "raw"
        self._expect(ENCODE)
        payload = self._data("utf-8")
        self._expect("latin1")
        self._literal(b"\x86")
        self._put()
        self._literal(b"R")
        self._put()
        return payload, "utf-8"

    def _scalar(self) -> _Ref:
        self._expect(SCALAR)
        dtype = self._dtype()
        self.scalars.append((*self._bytes(), dtype))
        self._literal(b"\x86")
        self._put()
        self._literal(b"R")
        return self._put_as("scalars")

    def _buffered_array(self) -> _Ref:
        self._expect(FROMBUFFER)
        self._literal(b"(")
        payload = self._data("buffer")
        dtype, shape, order = self._dtype(), self._shape(), self._get()
        if order not in ("C", "F"):
            raise _Unlike
        self._literal(b"t")
        self._put()
        self._literal(b"R")
        self.arrays.append((payload, *shape, Form(dtype, "raw", order), dtype.itemsize, 1))
        return self._put_as("arrays")


class Templates:
    """The templates of one file, and the taking of dicts by them.

    Parameters
    ----------
    source, buffer
        The file and its bytes.
    memo : list
        The machine's own; what is taken adds to it.
    """

    def __init__(self, source: Source, buffer: mmap.mmap | bytes, memo: list[Any]) -> None:
        self.source, self.buffer, self.memo = source, buffer, memo
        # Those that begin alike are kin, and stand together; what was taken last comes first.
        self.known: list[list[Template]] = []
        # Dicts that were taken, and their nodes: whole, at most three deep, and nothing else refers to them.
        self.taken: dict[int, int] = {}
        self.frame_end = 0
        self._missed = self._tried = 0
        # One tuple for all equal ones, and the number of elements that an array of this shape has.
        self._shapes: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {}

    def forget(self) -> None:
        """Unlearn everything: the memo was changed, on which it rests."""
        self.known.clear()

    def take(self, pos: int, frame_end: int) -> tuple[dict[Any, Any], int] | None:
        """Return the dict that begins at `pos` and the position after it, or None: step through it then.

        `frame_end` is where the current frame ends, and `self.frame_end`, after it, where the frame at the
        end of the dict does.
        """
        taken, first = len(self.taken), len(self.memo)
        if self._missed > _MISSES + taken // 4 or self._tried > _MOST_TRIES * (_MISSES + taken):
            return None
        for place, rank in self._candidates(pos, first):
            kin = self.known[place]
            self._tried += 1
            found = self._take(kin[rank], pos, frame_end)
            if found:
                self._tried += (place + rank) // 8  # to compare one chunk costs an eighth of a try
                if place or rank:
                    kin.insert(0, kin.pop(rank))
                    self.known.insert(0, self.known.pop(place))
                return found
        # A lesson costs as much as stepping through the dict: they get rarer where they do not help.
        self._missed += 1
        if self._missed > _MISSES and self._missed & (self._missed - 1):
            return None
        try:
            learned = Template(self.buffer, pos, self.memo)
        except _Unlike:
            return None
        self._keep(learned)
        return self._take(learned, pos, frame_end)

    def _candidates(self, pos: int, first: int) -> Iterator[tuple[int, int]]:
        """Give the places of templates that the dict at `pos` may be taken by: of most, a look at the first two chunks
        shows that it is not. The one that was taken last comes unseen: dicts are most often like the one before.
        """
        if self.known:
            yield 0, 0
        head = self._bits(pos)
        for place, kin in enumerate(self.known):
            chunk = kin[0].chunks[0]
            if head & chunk.mask != chunk.literal + first * chunk.counting:
                continue
            if place:
                yield place, 0
            behind = self._bits_behind(chunk, pos) if len(kin) > 1 else 0
            for rank in range(1, len(kin)):
                chunk = kin[rank].chunks[1]
                if behind & chunk.mask == chunk.literal + first * chunk.counting:
                    yield place, rank

    def _bits(self, pos: int) -> int:
        """Bytes as a number, to compare with a chunk: none is longer than that."""
        return int.from_bytes(self.buffer[pos : pos + 2 * _LONG_CHUNK], "little")

    def _bits_behind(self, chunk: _Chunk, pos: int) -> int:
        """The same behind a chunk that begins at `pos`, and behind its payload; 0 at the end of the file."""
        code = self.buffer[pos : pos + chunk.size]
        if len(code) < chunk.size:
            return 0
        return self._bits(pos + chunk.size + (chunk.unpack(code)[-1] if chunk.has_payload else 0))

    def _keep(self, template: Template) -> None:
        place = next((place for place, kin in enumerate(self.known) if _alike(kin[0], template)), None)
        kin = [] if place is None else self.known.pop(place)
        self.known.insert(0, [template, *kin[: _MOST_TEMPLATES - 1]])
        del self.known[_MOST_TEMPLATES:]

    def _take(self, template: Template, pos: int, frame_end: int) -> tuple[dict[Any, Any], int] | None:
        buffer, memo, size = self.buffer, self.memo, self.source.size
        first = len(memo)
        begin = pos
        pool: list[Any] = []
        payloads: list[tuple[int, int]] = []
        for length, mask, literal, counting, unpack, has_payload in template.chunks:
            code = buffer[pos : pos + length]
            if int.from_bytes(code, "little") & mask != literal + first * counting:
                return None
            pos += length
            if pos > size:
                return None
            pool += unpack(code)
            if has_payload:
                length = pool[-1]
                payloads.append((pos, length))
                pos += length
        for place, offset, hole, header in template.frames:
            at, length = payloads[place - 1] if place else (begin, 0)
            start = at + length + offset
            if frame_end not in (at - header if header else start, size + 1):
                return None
            frame_end = start + 9 + pool[hole]
            if frame_end > size:
                return None
        if pos > frame_end:
            return None

        pool += template.literals
        for start, stop in template.tuples:
            ints = tuple(pool[start:stop])
            pool.append(self._shapes.setdefault(ints, (ints, 0))[0])
        for hole in template.floats:
            pool += _BIG_FLOAT.unpack(pool[hole])
        for hole in template.gots:
            value = memo[pool[hole]] if pool[hole] < first else SKIPPED
            # What can hold other things, or itself, is the machine's business.
            if type(value) is not str and not _is_flat(value):
                return None
            pool.append(value)
        for payload, codec in template.texts:
            offset, length = payloads[payload]
            try:
                pool.append(str(buffer[offset : offset + length], codec, "surrogatepass"))
            except UnicodeDecodeError:
                return None
        for payload, encoding, dtype in template.scalars:
            offset, length = payloads[payload]
            # A single byte is shared between numbers: not here.
            if not 2 <= length <= dtype.itemsize * WIDEST[encoding]:
                return None
            data = buffer[offset : offset + length]
            try:
                data = data if encoding == "raw" else DECODERS[encoding](data)
            except UnicodeError:
                return None
            if len(data) != dtype.itemsize:
                return None
            pool.append(np.frombuffer(data, dtype)[0])
        for payload, start, stop, form, itemsize, widest in template.arrays:
            offset, length = payloads[payload]
            shape = tuple(pool[start:stop])
            known = self._shapes.get(shape)
            if known is None or not known[1]:
                known = self._shapes[shape] = shape, _count(shape)
            nbytes = known[1] * itemsize
            # Bytes of less than two elements are shared between arrays: not here.
            if length <= 2 or not 0 < nbytes <= length <= nbytes * widest:
                return None
            pool.append(ArrayHandle(self.source, offset, length, known[0], form))
        for items in template.lists:
            pool.append([*items(pool)])
        made: dict[Any, Any] = {}  # the last is the outer one
        for keys, values in template.dicts:
            made = dict(zip(keys, values(pool)))  # noqa: B905 (as many as were learned)
            pool.append(made)
        self.taken[id(made)] = template.nodes
        memo += template.entries(pool)
        self.frame_end = frame_end
        return made, pos


def _alike(one: Template, other: Template) -> bool:
    """Whether their first chunks are the same, and both have more than that."""
    a, b = one.chunks[0], other.chunks[0]
    return len(one.chunks) > 1 < len(other.chunks) and a._replace(unpack=b.unpack) == b


def _is_flat(value: Any) -> bool:
    if type(value) is tuple:
        return len(value) <= _MOST_INTS and _FLAT.issuperset(map(type, value))
    return type(value) in _FLAT


def _count(shape: tuple[int, ...]) -> int:
    """Number of elements of an array; 0 also for a shape that no array has."""
    return math.prod(shape) if min(shape) > 0 and max(shape) < MAX_SIDE else 0
