"""The kpfiles of Kinetics: where the skeletons of an index are, and the cache in front of them.

An index has the frames and the box scores of its clips, and their skeletons [N, V, 3] are in other files. PYSKL keeps
many clips in a kpfile, a dict or a list, which `raw_file` of an annotation names; MMAction2 keeps one clip in each,
``<frame_dir>.pkl``. Both are read as data, and so is what other programs put into the cache.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .compression import compress, frame_dtype, rows_of
from .dataset import Annotation, Dataset, load, with_bar
from .reader import read
from .sources import ArrayHandle, FormatError, UnsafePickleError
from .writer import to_bytes, write

_Array = npt.NDArray[Any]
_Fields = dict[str, Any]
# How many kpfiles are open at a time, and how many clips are kept: tens of megabytes at most.
_MOST_OPEN = 32
_MOST_KEPT = 64
# What the client that PYSKL uses puts beside a pickled value.
_IS_PICKLED = 1
# Seconds to wait for a server. One on the same machine answers in less than a thousandth of one.
_PATIENCE = 5.0


class _Place(NamedTuple):
    """Where a clip is to be found: its id, the `raw_file` of its annotation, and how many skeletons that speaks of."""

    name: str
    raw_file: str | None
    rows: int | None


class KpfileStore(Mapping[Any, _Array]):
    """The skeletons of an index: a read-only mapping to arrays [N, V, 3] (x and y in px, score).

    ``store[annotation]`` looks into the kpfile that `raw_file` of the annotation names: under `root`, by the last
    parts of that path, for the folders before them are those of the machine where the index was made. Without a
    `raw_file` it takes the file ``<frame_dir>.pkl``, or else reads the ids that all the kpfiles have, once.
    ``store["id"]`` does the same with the annotation of that id in `dataset`. As a mapping, it has the clips that can
    be had.

    A clip is read without the rest of its kpfile, and each time a fresh array is given. In the store, some kpfiles
    are kept open, and some clips in memory. A store can be handed to worker processes: only its arguments are.

    Parameters
    ----------
    root
        The folder with the kpfiles, in it or in folders below, or one kpfile.
    dataset
        The index, as `load` gives or takes it.
    memcached
        A server to look for clips first, and to leave them with: ``("localhost", 22077)``, or the path of a socket.
        Start it yourself, for example with ``memcached -l 127.0.0.1 -p 22077 -m 60000 -I 8m``; the package pymemcache
        is needed. Keys and values are those of PYSKL. What is found there is read as data. A server that is absent or
        fails costs a warning, and one that hangs five seconds: all clips are had from the kpfiles.

    Raises
    ------
    FileNotFoundError
        There is no `root`.
    KeyError
        When a clip is asked for: it is in no kpfile.
    FormatError, UnsafePickleError
        When a clip is asked for: its kpfile is none, or `raw_file` points out of `root`.

    Examples
    --------
    >>> index = pysklnb.load(pysklnb.sample("k400_hrnet"))
    >>> store = pysklnb.KpfileStore(pysklnb.sample("k400_kpfiles"), index)
    >>> store[index[0]].shape, store["-3Zq0fYw8kM"].shape
    ((104, 17, 3), (104, 17, 3))
    >>> pysklnb.decompress(index[0], store[index[0]])["keypoint"].shape
    (2, 53, 17, 2)
    >>> store.missing()
    []
    """

    def __init__(
        self, root: str | os.PathLike[str], dataset: Any = None, *, memcached: tuple[str, int] | str | None = None
    ) -> None:
        self.root = os.path.abspath(os.path.expanduser(root))
        if not os.path.exists(self.root):
            raise FileNotFoundError(f"{self.root}: there is no such folder. Name the one that has the kpfiles.")
        self.dataset = None if dataset is None else load(dataset)
        self.memcached = memcached
        self._cache = None if memcached is None else _Cache(memcached)
        self._opened = lru_cache(_MOST_OPEN)(load)
        self._read = lru_cache(_MOST_KEPT)(self._find)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(KpfileStore, memcached=self.memcached), (self.root, self.dataset)

    # -- the mapping

    def __getitem__(self, key: Mapping[str, Any] | str) -> _Array:
        try:
            return self._read(*self._place(key)).copy()
        except KeyError:
            if isinstance(key, str) and self.dataset is not None:
                self.dataset.clip(key)  # an id that it does not have is an error that lists the nearest
            raise

    def __contains__(self, key: object) -> bool:
        try:
            self._handle(self._place(key))
        except (KeyError, OSError, ValueError):
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def _ids(self) -> dict[str, None]:
        """The clips that can be had. To know them, each kpfile is looked into once."""
        if self.dataset is None:
            return dict.fromkeys(self._files)
        names = dict.fromkeys(name for name in map(self.dataset._id, self.dataset._places) if isinstance(name, str))
        absent = set(self.missing())
        return {name: None for name in names if name not in absent}

    def __repr__(self) -> str:
        of = "" if self.dataset is None else f", {len(self.dataset):,} clips"
        return f"<KpfileStore of {os.path.basename(self.root)}{of}{', cached' if self._cache else ''}>"

    def missing(self, dataset: Any = None) -> list[str]:
        """Give the ids of clips that cannot be had: there is no such kpfile, or it has no such key.

        Each kpfile is opened once, and no array is read. ``store[id]`` says what is wrong.

        Parameters
        ----------
        dataset
            The index, if it is not the one that the store was made with.
        """
        places = self._places(dataset, "missing")
        absent = set()
        for place in _by_file(places):
            try:
                self._handle(place)
            except (KeyError, OSError, ValueError):
                absent.add(place)
        return [place.name for place in places if place in absent]

    def warm(self, dataset: Any = None) -> int:
        """Put clips into memcached that are not there yet, with a progress bar; give the number of those that are.

        Clips that cannot be had, which `missing` lists, are passed over. A server that was given up is asked again.

        Parameters
        ----------
        dataset
            The clips, if they are not those of the index that the store was made with: a part of it, for example.
        """
        if self._cache is None:
            raise ValueError("of which server? Name it: KpfileStore(root, dataset, memcached=('localhost', 22077)).")
        count = 0
        self._cache.ask_again()
        for place in _by_file(self._places(dataset, "warm")):
            if self._cache.is_lost:
                break
            with contextlib.suppress(KeyError, OSError, ValueError):
                added = self._cache.add(place, self._handle(place).read())
                count += bool(added or (added is False and self._cache.get(place) is not None))
        return count

    # -- where a clip is

    def _places(self, dataset: Any, what: str) -> list[_Place]:
        ds = self.dataset if dataset is None else load(dataset)
        if ds is None:
            raise ValueError(f"of which clips? Name them: store.{what}(dataset), or KpfileStore(root, dataset).")
        records = [ds._records[place] for place in ds._places if isinstance(ds._id(place), str)]
        return [self._place(record) for record in records]

    def _place(self, key: Any) -> _Place:
        annotation = key
        if isinstance(key, str):
            annotation = {"frame_dir": key}
            if self.dataset is not None and key in self.dataset._by_id:
                annotation = self.dataset.clip(key)
        if not isinstance(annotation, Mapping):
            raise KeyError(f"{key!r}: expected an annotation or its id")
        record = annotation._record if isinstance(annotation, Annotation) else annotation
        name, raw_file = record.get(_id_key(record)), record.get("raw_file")
        if not isinstance(name, str) or not name:
            raise KeyError(f"the annotation has no id: found {name!r}")
        shape: tuple[int, ...] = getattr(record.get("frame_inds"), "shape", ())
        raw_file = raw_file if isinstance(raw_file, str) and raw_file else None
        return _Place(str(name), raw_file, shape[0] if len(shape) == 1 else None)

    def _find(self, name: str, raw_file: str | None, rows: int | None) -> _Array:
        place = _Place(name, raw_file, rows)
        if self._cache is None or self._cache.is_lost:
            return self._handle(place).read()
        keypoint = self._cache.get(place)
        if keypoint is None:
            keypoint = self._handle(place).read()
            self._cache.add(place, keypoint)
        return keypoint

    def _handle(self, place: _Place) -> ArrayHandle:
        """Find the skeletons of a clip, unread."""
        name, raw_file, _ = place
        path = self._path(name, raw_file)
        if path is None:
            where = f"{raw_file} is not under {self.root}" if raw_file else f"no kpfile under {self.root} has it"
            raise KeyError(f"the skeletons of {name!r}: {where}. Unpack the kpfiles there, or name another folder.")
        ds = self._opened(path)
        # A file of one clip is known by its own name, without the folders that an id can have.
        number = 0 if len(ds) == 1 and name.endswith(f"/{ds._id(0)}") else ds._by_id.get(name)
        if number is None:
            raise KeyError(f"the skeletons of {name!r}: {path} has {len(ds):,} clips, and this is not one of them.")
        keypoint = (ds._records[number] or {}).get("keypoint")
        if not isinstance(keypoint, ArrayHandle) or keypoint.ndim != 3 or keypoint.shape[2] != 3:
            found = f"shape {keypoint.shape}" if isinstance(keypoint, ArrayHandle) else type(keypoint).__name__
            raise FormatError(f"{path}: keypoint of {name!r}: found {found}, expected [N, V, 3]: x, y, score.")
        return keypoint

    def _path(self, name: str, raw_file: str | None) -> str | None:
        if os.path.isfile(self.root):
            return self.root
        if raw_file is not None:
            return self._under_root(raw_file, name)
        path = self._under_root(f"{name}.pkl", name, shortened=False)
        return path or self._files.get(name)

    def _under_root(self, path: str, name: str, *, shortened: bool = True) -> str | None:
        """Look for a file under `root`, by as many of the last parts of its path as lead to one."""
        parts = path.replace("\\", "/").split("/")
        if ".." in parts or "\0" in path:
            raise FormatError(f"clip {name!r}: {path!r} points out of {self.root}. It is not followed.")
        # Where paths have drives, one of them alone would lead to another folder.
        parts = [part for part in parts if part not in ("", ".") and not os.path.splitdrive(part)[0]]
        for start in range(len(parts) if shortened else min(len(parts), 1)):
            candidate = os.path.join(self.root, *parts[start:])
            if os.path.isfile(candidate):
                return candidate
        return self._below.get(parts[-1]) if shortened and parts else None

    @cached_property
    def _below(self) -> dict[str, str | None]:
        """The kpfile of each file name, in whatever folder below `root`; None where there are several."""
        found: dict[str, str | None] = {}
        for path in _pickles(self.root):
            name = os.path.basename(path)
            found[name] = None if name in found else path
        return found

    @cached_property
    def _files(self) -> dict[str, str]:
        """The kpfile of each id. All are opened once for it."""
        found: dict[str, str] = {}
        for path in with_bar(_pickles(self.root), "kpfiles"):
            try:
                ds = load(path)
            except (FormatError, UnsafePickleError) as error:
                _warn(f"no kpfile, and passed over: {error}")
                continue
            for name, place in ds._by_id.items():
                if "keypoint" in (ds._records[place] or ()):  # there can be an index beside the kpfiles
                    found.setdefault(str(name), path)
        return found


def _pickles(root: str) -> list[str]:
    if os.path.isfile(root):
        return [root]
    found = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
    return sorted(path for path in found if path.endswith((".pkl", ".pickle")) and os.path.basename(path)[0] != ".")


def _by_file(places: list[_Place]) -> Iterator[_Place]:
    """Give each place once, kpfile by kpfile: in the order of an index, one would be opened again and again."""
    return with_bar(sorted(set(places), key=lambda place: (place.raw_file or "", place.name)), "clips")


def _id_key(annotation: Mapping[str, Any]) -> str:
    return "frame_dir" if "frame_dir" in annotation else "filename"


def _warn(message: str) -> None:
    """Warn at the line that asked, however many functions of this module, and caches of theirs, lie between."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"] in (__name__, "functools"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


# ---------------------------------------------------------------------------------------------------------------
# The cache


class _Cache:
    """Skeletons in memcached, under the ids of their clips, as PYSKL keeps them: a pickled ``{"keypoint": array}``.

    What can go wrong with a server costs a warning, the first time that it does, and nothing else.
    """

    def __init__(self, server: tuple[str, int] | str) -> None:
        try:
            from pymemcache.client import base
        except ImportError:
            raise ImportError("memcached= needs a package: pip install pymemcache") from None
        if not isinstance(server, str) and len(server) != 2:
            raise ValueError(f"memcached: found {server!r}, expected (host, port), or the path of a socket.")
        self.server = server
        self._pooled: Any = base.PooledClient
        self._connect()
        self._warned: set[str] = set()
        self.is_lost = False

    def _connect(self) -> None:
        """Make a client for this process: one that was forked must not talk through its parent's connections."""
        # Threads have a connection each.
        self._client = self._pooled(
            self.server,
            serde=_Bytes(),
            connect_timeout=_PATIENCE,
            timeout=_PATIENCE,
            default_noreply=False,
            socket_module=SimpleNamespace(**{**vars(socket), "socket": _Connection}),
        )
        self._process = os.getpid()
        # It leaves its connections to the garbage collector otherwise, which warns of each.
        weakref.finalize(self, self._client.close)

    def get(self, place: _Place) -> _Array | None:
        value = self._ask("get", place.name)
        if value is None:
            return None
        try:
            return _skeletons(place, *value)
        except (FormatError, UnsafePickleError) as error:
            self._warn("other", f"it has something else under {place.name!r}, which was not used and stays. {error}")
            return None

    def ask_again(self) -> None:
        self.is_lost = False
        self._warned.discard("lost")

    def add(self, place: _Place, keypoint: _Array) -> bool | None:
        """Leave a clip with the server. False if it has something of that id, None if it did not take it."""
        value = to_bytes({"keypoint": keypoint}, protocol=4)
        # Only if it waits for the reply, a client learns that an item was too large.
        added: bool | None = self._ask("add", place.name, value, flags=_IS_PICKLED, noreply=False)
        return added

    def _ask(self, command: str, name: str, *arguments: Any, **options: Any) -> Any:
        from pymemcache import exceptions as client

        if self.is_lost:
            return None
        if self._process != os.getpid():
            self._connect()
        try:
            return getattr(self._client, command)(name, *arguments, **options)
        except client.MemcacheIllegalInputError:
            self._warn("key", f"it takes no such key as {name[:60]!r}: up to 250 ASCII characters, without spaces.")
        except (OSError, client.MemcacheUnexpectedCloseError) as error:
            self.is_lost = True
            reason = getattr(error, "strerror", None) or str(error) or "it closed the connection"
            self._warn("lost", f"it does not answer ({reason}), and is not asked again.")
        except (client.MemcacheUnknownError, ValueError, LookupError) as error:
            self.is_lost = True
            self._warn("lost", f"it answers as no memcached does ({error}), and is not asked again.")
        except client.MemcacheError as error:
            size = f" {name!r} has {len(arguments[0]):,} bytes; start it with -I 8m." if arguments else ""
            self._warn("refused", f"it refused ({error}).{size}")
        return None

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            _warn(f"memcached at {self.server}: {message} Such clips are read from the kpfiles.")


class _Connection(socket.socket):
    """A connection on which a whole reply may take no longer than each piece of it: one could go on for ever."""

    _until = 0.0

    def sendall(self, *arguments: Any) -> None:
        self._until = time.monotonic() + _PATIENCE
        super().sendall(*arguments)

    def recv(self, *arguments: Any) -> bytes:
        if time.monotonic() > self._until:
            raise TimeoutError("its reply has no end")
        return super().recv(*arguments)


class _Bytes:
    """Values for pymemcache as they are, with their flags. It would unpickle them."""

    def serialize(self, key: Any, value: bytes) -> tuple[bytes, int]:
        return value, 0

    def deserialize(self, key: Any, value: bytes, flags: int) -> tuple[bytes, int]:
        return value, flags


def _skeletons(place: _Place, value: bytes, flags: int) -> _Array:
    """Read a value of the cache as data: that of a kpfile, or a whole annotation, as other readers leave it there."""
    if flags != _IS_PICKLED:
        raise FormatError(f"found flags {flags}, expected {_IS_PICKLED}, for a pickle.")
    found = read(value)
    handle = found.get("keypoint") if isinstance(found, dict) else None
    if not isinstance(handle, ArrayHandle) or handle.ndim != 3 or handle.shape[2] != 3 or handle.dtype.kind != "f":
        raise FormatError("found no keypoint [N, V, 3].")
    if found.get("frame_dir", place.name) != place.name:
        raise FormatError(f"found the clip {found['frame_dir']!r:.80}.")
    if place.rows not in (None, handle.shape[0]):
        raise FormatError(f"found {handle.shape[0]:,} skeletons, expected {place.rows:,}, as frame_inds has it.")
    return handle.read()


# ---------------------------------------------------------------------------------------------------------------
# Writing


def write_kpfiles(dataset: Any, root: str | os.PathLike[str], *, clips_per_file: int = 1000) -> Path:
    """Write a data set in the form of Kinetics: an index, and kpfiles with the skeletons.

    Clips are taken one at a time, and the folder appears when everything in it is complete.

    Parameters
    ----------
    dataset
        2D clips, as `load` gives or takes them: of the normal form, which are compressed (see `compress`), or
        compressed already, with their skeletons. Clips with `box_score` [M, T] get `valid`. None stays None.
    root
        The folder to make. If it is there, it has to be empty.
    clips_per_file
        How many clips a kpfile has at most.

    Returns
    -------
    pathlib.Path
        The index, ``root/index.pkl``. Its `raw_file` name the kpfiles from there, ``kpfiles/0.pkl`` and so on; its
        frames are counted from 1, as in Kinetics.

    Raises
    ------
    FileExistsError
        There is something in `root`.
    FormatError
        A clip is not of this form, or has no id, or that of another clip.

    Examples
    --------
    >>> import os, tempfile
    >>> ds = pysklnb.load(pysklnb.sample("ucf101_hrnet"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = pysklnb.load(pysklnb.write_kpfiles(ds, os.path.join(folder, "ucf101"), clips_per_file=16))
    ...     store = pysklnb.KpfileStore(os.path.join(folder, "ucf101"), index)
    ...     index[0]["raw_file"], len(store[index[0]]) == len(index[0]["frame_inds"])
    ('kpfiles/0.pkl', True)
    """
    ds = load(dataset)
    target = Path(os.path.abspath(os.path.expanduser(root)))
    if clips_per_file < 1:
        raise ValueError(f"clips_per_file: found {clips_per_file!r}, expected 1 or more.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists. Choose another folder: nothing is overwritten.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: there is no such folder. Make it first, or choose another.")
    _check_ids(ds)
    with TemporaryDirectory(prefix=f".{target.name}.", suffix=".part", dir=target.parent) as draft:
        folder = Path(draft, "whole")
        (folder / "kpfiles").mkdir(parents=True)
        for number, start in enumerate(with_bar(range(0, len(ds), clips_per_file), "kpfiles")):
            write(_Skeletons(ds, range(start, min(start + clips_per_file, len(ds)))), folder / _kpfile(number))
        index = {**dict(ds), "annotations": _Index(ds, clips_per_file)}
        write(index, folder / "index.pkl")
        if target.exists():
            target.rmdir()  # which is empty; not every system replaces it
        folder.rename(target)
    return target / "index.pkl"


def _kpfile(number: int) -> str:
    return f"kpfiles/{number}.pkl"


def _check_ids(ds: Dataset) -> None:
    places: dict[str, int] = {}
    for place, clip in enumerate(ds):
        if clip is None:
            continue
        name = clip.get(_id_key(clip))
        if not isinstance(name, str) or not name:
            raise FormatError(f"{ds.name}: annotations[{place}]: found the id {name!r}, expected a text.")
        if places.setdefault(name, place) != place:
            raise FormatError(
                f"{ds.name}: annotations[{place}] has the id {name!r} of annotations[{places[name]}]. Rename one: a "
                "kpfile has each id once."
            )


class _Skeletons(Mapping[str, Any]):
    """A kpfile, made clip by clip while it is written."""

    def __init__(self, ds: Dataset, places: range) -> None:
        clips = {place: ds[place] for place in places}
        self._places = {clip[_id_key(clip)]: place for place, clip in clips.items() if clip is not None}
        self._ds = ds

    def __getitem__(self, name: str) -> Any:
        return {"keypoint": _compressed(self._ds[self._places[name]] or {}, "")["keypoint"]}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class _Index(Sequence[Any]):
    """The annotations of an index, made one by one while they are written.

    Clips are compressed a second time for it: that costs less than to keep what an index of a large data set has.
    """

    def __init__(self, ds: Dataset, clips_per_file: int) -> None:
        self._ds, self._clips_per_file = ds, clips_per_file

    def __getitem__(self, place: Any) -> Any:
        clip = self._ds[place]
        if clip is None:
            return None
        record = _compressed(clip, _kpfile(place // self._clips_per_file))
        del record["keypoint"]
        return record

    def __len__(self) -> int:
        return len(self._ds)


def _compressed(clip: Mapping[str, Any], raw_file: str) -> _Fields:
    """Give a clip in the compressed form, with frames that are counted from 1."""
    fields = dict(clip)
    if np.ndim(fields.get("keypoint", ())) == 4:
        return compress({**fields, "raw_file": raw_file})
    skeletons, frames, total, base = rows_of(fields)
    frame_inds = (frames - base + 1).astype(frame_dtype(total))
    return {**fields, "keypoint": skeletons, "frame_inds": frame_inds, "raw_file": raw_file}
