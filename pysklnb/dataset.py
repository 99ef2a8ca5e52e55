"""A data set: `load` it, look at its clips, choose among them, `save` it.

Nothing in a file is renamed, guessed or repaired on the way: what is handed out is what the file says. Arrays stay
in the file until they are asked for, and each time a fresh one is given.
"""

from __future__ import annotations

import errno
import operator
import os
import reprlib
from bisect import bisect
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .cards import MINIATURES, catalog
from .description import Description, Outline, describe
from .layouts import nearest_of
from .reader import read
from .sources import ArrayHandle, FileSource, FormatError, UnsafePickleError
from .writer import write

if TYPE_CHECKING:
    import pandas as pd

_Record = Mapping[str, Any]
# What marks a dict as an annotation: its id, in the documented and in the older form, or its keypoints.
_IDENTITY = ("frame_dir", "filename")
_MARKS = (*_IDENTITY, "keypoint")
_NO_VALID = "it, as in an index of Kinetics; compress and write_kpfiles make it of box_score [M, T]"
_VALID_RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


class Annotation(Mapping[str, Any]):
    """One clip: a read-only mapping with the file's own keys, in their order and with their types.

    An array is read from the file when its key is asked for, and is a fresh one each time: editing it changes
    neither the file nor what is given next. ``dict(annotation)`` is a plain dict with all arrays read.

    Examples
    --------
    >>> clip = pysklnb.load(pysklnb.sample("ntu60_hrnet"))[0]
    >>> clip["img_shape"], clip["keypoint"].ndim
    ((1080, 1920), 4)
    """

    __slots__ = ("_record",)

    def __init__(self, record: _Record) -> None:
        self._record = record

    def __getitem__(self, key: str) -> Any:
        try:
            value = self._record[key]
        except KeyError:
            raise KeyError(f"no {key!r} in this annotation ({nearest_of(str(key), list(map(str, self)))})") from None
        return _fresh(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._record)

    def __len__(self) -> int:
        return len(self._record)

    def __contains__(self, key: object) -> bool:
        return key in self._record

    def __reduce__(self) -> tuple[Any, ...]:
        return Annotation, (dict(self),)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{_short(key)}: {_short(value)}" for key, value in self._record.items()) + "}"


class Annotations(Sequence["Annotation | None"]):
    """The clips of a data set as a sequence; each `Annotation` is made when it is asked for."""

    __slots__ = ("_places", "_records")

    def __init__(self, records: Sequence[_Record | None], places: Sequence[int]) -> None:
        self._records, self._places = records, places

    @overload
    def __getitem__(self, index: int) -> Annotation | None: ...
    @overload
    def __getitem__(self, index: slice) -> Annotations: ...
    def __getitem__(self, index: int | slice) -> Annotation | Annotations | None:
        if isinstance(index, slice):
            return Annotations(self._records, self._places[index])
        record = self._records[self._places[index]]
        return None if record is None else Annotation(record)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<{len(self)} annotations>"


class Dataset:
    """The clips of a file, a folder, or Python objects, in the order they have there. `load` makes it.

    ``len``, iteration, integers and slices are about clips; ``ds["split"]`` and ``ds["annotations"]`` are the
    documented form. A clip is an `Annotation`, or None where the file has None.

    Attributes
    ----------
    container : str
        Which form the data has: ``"dict"`` (split and annotations), ``"list"`` (of annotations), ``"annotation"``
        (a single one), ``"kpfile"`` (ids and compressed keypoints) or ``"folder"`` (of one-video pickles or kpfiles).
    origin : str or None
        The path it was loaded from.
    dataset : str or None
        The catalogue name, if the user gave one. It is never taken from the file's name, which proves nothing.
    """

    def __init__(
        self,
        records: Sequence[_Record | None],
        split: Mapping[str, Sequence[Any]],
        *,
        container: str,
        dataset: str | None = None,
        extra: Mapping[str, Any] | None = None,
        sources: Sequence[FileSource] = (),
        origin: str | None = None,
    ) -> None:
        if dataset is not None:
            catalog[dataset]  # an unknown name is an error that lists the nearest
        self.container = container
        self.origin = origin
        self.dataset = dataset
        self._records = records
        self._split = split
        self._extra = extra or {}
        self._sources = sources
        self._places: Sequence[int] = range(len(records))
        # How this selection was made, so that a worker process can make it again.
        self._steps: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The name of the file or folder, for people."""
        return Path(self.origin).name if self.origin else "in memory"

    # -- clips

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Annotation | None]:
        return iter(self["annotations"])

    @overload
    def __getitem__(self, key: int) -> Annotation | None: ...
    @overload
    def __getitem__(self, key: slice) -> Dataset: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: int | slice | str) -> Any:
        if isinstance(key, str):
            return self._part(key)
        if isinstance(key, slice):
            step = ("slice", (key.start, key.stop, key.step))
            return self._with(_places=self._places[key], _steps=(*self._steps, step))
        place = operator.index(key)
        if not -len(self) <= place < len(self):
            raise IndexError(f"no clip {place}: this data set has {len(self):,} clips.")
        return self._part("annotations")[place]

    def keys(self) -> list[str]:
        """The keys of the documented form, so that ``dict(ds)`` is it."""
        return ["split", "annotations", *self._extra]

    def _part(self, key: str) -> Any:
        if key == "annotations":
            return Annotations(self._records, self._places)
        if key == "split":
            return {name: list(ids) for name, ids in self._own_split.items()}
        if key in self._extra:
            return _fresh(self._extra[key])
        raise KeyError(f"no {key!r} in this data set ({nearest_of(key, self.keys())}). A clip by its id: ds.clip(id).")

    def clip(self, frame_dir: str) -> Annotation:
        """Return the clip of this id, the first one if there are several.

        Raises
        ------
        KeyError
            There is none; the nearest ids are listed.
        """
        if not _is_id(frame_dir) or frame_dir not in self._by_id:
            # Likeness is slow to judge: only the neighbours in the alphabet are candidates.
            ids = sorted(map(str, self._by_id))
            place = bisect(ids, str(frame_dir))
            nearest = nearest_of(str(frame_dir), ids[max(0, place - 5) : place + 5])
            raise KeyError(f"no clip has the id {frame_dir!r} ({nearest})")
        return Annotation(self._records[self._by_id[frame_dir]] or {})

    def select(
        self,
        *,
        split: str | None = None,
        label: Any = None,
        box_thr: float | None = None,
        valid_ratio: float | None = None,
    ) -> Dataset:
        """Return the clips that are all of what is asked for, as a data set of its own; nothing is read or copied.

        Parameters
        ----------
        split
            A name in ``ds["split"]``. The clips keep the order of the file; an id without a clip is passed over.
        label
            A label, or several: ``label=8``, ``label=[8, 9]``.
        box_thr, valid_ratio
            Of an index of Kinetics: clips with a person, whose box has a score of at least `box_thr`, in that share of
            the video's frames at least: ``valid[box_thr] / total_frames >= valid_ratio``. It is PYSKL's filter, which
            then also drops the skeletons of the other boxes: give `decompress` the same `box_thr`. See `valid_table`
            for what is left at each setting.

        Raises
        ------
        KeyError
            There is no such split; the names that there are, are listed.
        FormatError
            A clip does not say for how many frames `box_thr` holds.

        Examples
        --------
        >>> ds = pysklnb.load(pysklnb.sample("ntu60_hrnet"))
        >>> len(ds.select(split="xsub_train", label=[7, 8])) < len(ds.select(split="xsub_train"))
        True
        >>> index = pysklnb.load(pysklnb.sample("k400_hrnet"))
        >>> len(index), len(index.select(box_thr=0.9, valid_ratio=0.3))
        (12, 10)
        """
        places: Iterable[int] = self._places
        if (box_thr is None) != (valid_ratio is None):
            raise ValueError("box_thr and valid_ratio belong together: select(box_thr=0.7, valid_ratio=0.3).")
        if split is not None:
            if split not in self._split:
                known = nearest_of(str(split), list(map(str, self._split))) if self._split else "it has no splits"
                raise KeyError(f"no split {split!r} in this data set ({known})")
            ids = {name for name in self._split[split] if _is_id(name)}
            places = [place for place in places if self._id(place) in ids]
        if label is not None:
            several = isinstance(label, Collection) and not isinstance(label, str)
            labels = set(label) if several else {label}
            places = [place for place in places if _label(self._records[place]) in labels]
            label = sorted(labels, key=repr) if several else label
        if box_thr is not None and valid_ratio is not None:
            places = [place for place in places if self._records[place] is not None]
            places = [p for p in places if self._valid_share(p, self._valid(p), box_thr) >= valid_ratio]
        step = ("select", {"split": split, "label": label, "box_thr": box_thr, "valid_ratio": valid_ratio})
        return self._with(_places=list(places), _steps=(*self._steps, step))

    def valid_table(self, valid_ratios: Iterable[float] = _VALID_RATIOS) -> pd.DataFrame:
        """Count the clips of a Kinetics index that each setting of ``select(box_thr=..., valid_ratio=...)`` keeps.

        Parameters
        ----------
        valid_ratios
            The settings to count for, from 0 to 1.

        Returns
        -------
        pandas.DataFrame
            A row for each `box_thr` that the clips know, a column for each `valid_ratio`.

        Raises
        ------
        FormatError
            A clip has no `valid`: this is no index of Kinetics.

        Examples
        --------
        >>> table = pysklnb.load(pysklnb.sample("k400_hrnet")).valid_table([0.1, 0.3, 0.51])
        >>> table.loc[0.9].to_dict()
        {0.1: 12, 0.3: 10, 0.51: 0}
        """
        import pandas as pd

        valid = {place: self._valid(place) for place in self._places if self._records[place] is not None}
        thresholds = sorted({threshold for found in valid.values() for threshold, _ in found})
        if valid and not thresholds:
            raise self._no_valid(next(iter(valid)), _NO_VALID)
        ratios = list(valid_ratios)
        counts = np.zeros((len(thresholds), len(ratios)), int)
        for row, threshold in enumerate(thresholds):
            shares = np.array([self._valid_share(place, found, threshold) for place, found in valid.items()])
            counts[row] = [np.count_nonzero(shares >= ratio) for ratio in ratios]
        return pd.DataFrame(
            counts, index=pd.Index(thresholds, name="box_thr"), columns=pd.Index(ratios, name="valid_ratio")
        )

    def _valid(self, place: int) -> list[tuple[float, Any]]:
        """In how many frames a record has boxes of at least a score; an older form of the index has it in keys."""
        record = self._records[place] or {}
        valid = record.get("valid")
        found = valid if isinstance(valid, Mapping) else {}
        flat = {key[6:]: frames for key, frames in record.items() if isinstance(key, str) and key.startswith("valid@")}
        try:
            return [(float(score), int(frames)) for score, frames in (found or flat).items()]
        except (TypeError, ValueError):
            raise self._no_valid(place, "numbers for scores") from None

    def _valid_share(self, place: int, valid: list[tuple[float, Any]], box_thr: float) -> float:
        total = (self._records[place] or {}).get("total_frames")
        frames = next((frames for score, frames in valid if abs(score - box_thr) < 1e-6), None)
        if frames is None:
            scores = ", ".join(str(score) for score, _ in valid)
            raise self._no_valid(place, f"one of {scores} as box_thr" if valid else _NO_VALID)
        if not isinstance(total, (int, np.integer)) or total <= 0:
            raise self._no_valid(place, f"total_frames to divide by, found {total!r}")
        return float(frames / int(total))

    def _no_valid(self, place: int, expected: str) -> FormatError:
        return FormatError(f"{self.name}: annotations[{place}].valid ({self._id(place)!r}): expected {expected}.")

    def _with(self, **changes: Any) -> Dataset:
        """A data set over the same records with other attributes; what was computed from the old ones is not kept."""
        view = object.__new__(Dataset)
        view.__dict__.update({key: value for key, value in self.__dict__.items() if key not in _CACHED} | changes)
        return view

    # -- ids

    @cached_property
    def _id_key(self) -> str:
        """Readers of the format use `filename` as the id when the first annotation has it."""
        first = next((record for record in self._records if isinstance(record, Mapping)), {})
        return "filename" if "filename" in first else "frame_dir"

    def _id(self, place: int) -> Any:
        record = self._records[place]
        name = record.get(self._id_key) if isinstance(record, Mapping) else None
        return name if _is_id(name) else None

    @cached_property
    def _by_id(self) -> dict[Any, int]:
        return {self._id(place): place for place in reversed(self._places) if self._id(place) is not None}

    @cached_property
    def _own_split(self) -> Mapping[str, Sequence[Any]]:
        """The splits, with the ids of this selection only."""
        if not self._steps:
            return self._split
        return {
            name: [item for item in ids if _is_id(item) and item in self._by_id] for name, ids in self._split.items()
        }

    # -- in words

    def describe(self) -> Description:
        """Say in words what this is: a table in a notebook, text in a terminal. No array is read."""
        outline = Outline(
            name=self.name,
            container=self.container,
            count=len(self),
            clips=[record for record in map(self._records.__getitem__, self._places) if record is not None],
            ids=self._by_id.keys(),
            splits=self._own_split,
            extra=list(self._extra),
            dataset=self.dataset,
            files=len(self._sources),
            stored=sum(source.size for source in self._sources),
            selected_from=len(self._records) if self._steps else None,
            synthetic=self.origin is not None and Path(self.origin).is_relative_to(MINIATURES),
        )
        return describe(outline)

    def __repr__(self) -> str:
        return str(self.describe())

    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()

    # -- for worker processes

    def __reduce__(self) -> tuple[Any, ...]:
        if self._sources:
            return _reopen, (self.origin, self.dataset, _signature(self._sources), self._steps)
        clips = [None if clip is None else dict(clip) for clip in self]
        return _remake, (clips, self["split"], self.container, self.dataset, dict(self._extra))


_CACHED = [name for name, value in vars(Dataset).items() if isinstance(value, cached_property)]


def _signature(sources: Sequence[FileSource]) -> tuple[int, int]:
    return sum(source.size for source in sources), max(source.mtime_ns for source in sources)


def _reopen(path: str, dataset: str | None, signature: tuple[int, int], steps: tuple[tuple[str, Any], ...]) -> Dataset:
    ds = load(path, dataset)
    if _signature(ds._sources) != signature:
        raise FormatError(f"{path} changed on disk after the data set was opened. Load it again.")
    for step, what in steps:
        ds = ds[slice(*what)] if step == "slice" else ds.select(**what)
    return ds


def _remake(
    clips: list[Any], split: dict[str, list[Any]], container: str, dataset: str | None, extra: dict[str, Any]
) -> Dataset:
    return Dataset(clips, split, container=container, dataset=dataset, extra=extra)


# ---------------------------------------------------------------------------------------------------------------
# Loading and saving


def load(path: str | os.PathLike[str] | Any, dataset: str | None = None) -> Dataset:
    """Open a skeleton file, a folder of one-video pickles, or Python objects in the documented form.

    The pickle is read as data: nothing it names is imported, nothing in it is called. Arrays stay in the file
    until they are asked for.

    Parameters
    ----------
    path
        A file in any of the forms that are in use: ``{"split": ..., "annotations": ...}``, a list of annotations, a
        single annotation, a kpfile (``{id: {"keypoint": [N, V, 3]}}``, or ``{"keypoint": ...}`` of one video, whose
        id is the name of the file); a folder of such files, one video or kpfile each; or such Python objects.
    dataset
        A name in `pysklnb.catalog`, if you know that this is that data set.

    Returns
    -------
    Dataset

    Raises
    ------
    FormatError
        It is no skeleton file, or it is damaged.
    UnsafePickleError
        The pickle asks for something that data does not need.
    FileNotFoundError
        There is no such file.

    Examples
    --------
    >>> ds = pysklnb.load(pysklnb.sample("ntu60_hrnet"))
    >>> ds.container, ds[0]["keypoint"].shape[2:]
    ('dict', (17, 2))
    """
    return open_dataset(path, dataset, tell=_refuse)


# Takes the code of a rule (see `report`), a place in what was opened, or "", and what is wrong there.
Tell = Callable[[str, str, str], None]


def open_dataset(path: str | os.PathLike[str] | Any, dataset: str | None = None, *, tell: Tell) -> Dataset:
    """Do as `load` does, but tell a fault that leaves something to look at, instead of raising it."""
    if isinstance(path, Dataset):
        return path if dataset is None else path._with(dataset=catalog[dataset].name)
    if not isinstance(path, (str, os.PathLike)):
        return Dataset(**_contents(path, "the data", tell), dataset=dataset)
    origin = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(origin):
        return _open_folder(origin, dataset, tell)
    try:
        source = FileSource(origin)
    except FileNotFoundError:
        hint = f'; the bundled miniature is pysklnb.sample("{path}")' if path in catalog else ""
        raise FileNotFoundError(errno.ENOENT, f"no such file{hint}", origin) from None
    return Dataset(**_contents(read(source), origin, tell), dataset=dataset, sources=[source], origin=origin)


def _refuse(code: str, where: str, message: str) -> None:
    raise FormatError(message)


def with_bar(items: Iterable[Any], what: str, **options: Any) -> Iterator[Any]:
    """Go through items with a progress bar, which shows after two seconds and goes away at the end."""
    from tqdm.auto import tqdm

    bar: Iterator[Any] = iter(tqdm(items, desc=what, delay=2, leave=False, **options))
    return bar


def _open_folder(folder: str, dataset: str | None, tell: Tell) -> Dataset:
    names = sorted(name for name in os.listdir(folder) if name.endswith((".pkl", ".pickle")) and name[0] != ".")
    if not names:
        raise FormatError(
            f"{folder} is a folder without .pkl files, expected one for each video. Name the folder that has them."
        )
    records: list[_Record | None] = []
    sources = []
    for name in with_bar(names, "files"):
        try:
            # Thousands of files are in use at once: none is kept open.
            source = FileSource(os.path.join(folder, name), keep_open=False)
            contents = _contents(read(source), source.path, tell)
            if contents["container"] == "dict":
                raise FormatError(
                    f"{source.path} is a whole data set (split and annotations) in a folder that should have one "
                    "video or kpfile each. Load that file by itself."
                )
        except (OSError, FormatError, UnsafePickleError) as error:
            if tell is _refuse:
                raise
            tell("unreadable", name, str(error))
            continue
        sources.append(source)
        records += contents["records"]
    return Dataset(records, {}, container="folder", dataset=dataset, sources=sources, origin=folder)


def _contents(value: Any, origin: str, tell: Tell) -> dict[str, Any]:
    """Recognise the form of a value; return `records`, `split`, `container` and `extra` of a `Dataset`."""
    if isinstance(value, Mapping) and "annotations" in value:
        extra = {key: item for key, item in value.items() if key not in ("split", "annotations")}
        records, split = value["annotations"], value.get("split", {})
        if not isinstance(records, Sequence) or isinstance(records, str):
            message = f"{origin}: annotations is {_kind(records)}, expected a list of annotations."
            if not isinstance(records, Mapping):
                raise FormatError(message)
            tell("annotations-not-list", "annotations", message)
            records = list(records.values())
        if not isinstance(split, Mapping):
            tell("split-not-dict", "split", f"{origin}: split is {_kind(split)}, expected a dict of lists of ids.")
            split = {}
        found = {"container": "dict", "records": records, "split": split, "extra": extra}
    elif isinstance(value, Mapping) and set(value) == {"keypoint"}:
        name = Path(origin).stem
        found = {"container": "kpfile", "records": [{"frame_dir": name, **value}], "split": {}}
    elif isinstance(value, Mapping) and any(key in value for key in _MARKS):
        found = {"container": "annotation", "records": [value], "split": {}}
    elif (
        isinstance(value, Mapping)
        and all(isinstance(item, Mapping) for item in value.values())
        and any("keypoint" in item for item in value.values())
    ):
        records = [item if "frame_dir" in item else {"frame_dir": name, **item} for name, item in value.items()]
        found = {"container": "kpfile", "records": records, "split": {}}
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes, tuple)):
        found = {"container": "list", "records": value, "split": {}}
    else:
        raise FormatError(f"{origin} holds {_kind(value)}. {_EXPECTED}")
    found["records"] = [item._record if isinstance(item, Annotation) else item for item in found["records"]]
    if tell is _refuse:
        _check(found["records"], found["split"], origin, "annotations" if found["container"] == "dict" else "")
    return found


_EXPECTED = (
    "Expected a dict of split and annotations, a list of annotations, one annotation, or a kpfile; an annotation is "
    "a dict with at least frame_dir and keypoint."
)


def _check(records: Sequence[Any], split: Mapping[Any, Any], origin: str, place: str) -> None:
    """What is in a list can be faulty, but it has to be about clips."""
    for name, ids in split.items():
        if not _is_ids(ids):
            raise FormatError(f"{origin}: split[{name!r}] is {_kind(ids)}, expected a list of ids.")
    for number, record in enumerate(records):
        if record is not None and not isinstance(record, Mapping):
            raise FormatError(f"{origin}: {place}[{number}] is {_kind(record)}, expected an annotation. {_EXPECTED}")
    dicts = [record for record in records if record is not None]
    if dicts and not any(key in record for record in dicts for key in _MARKS):
        raise FormatError(
            f"{origin}: {place}[0] is {_kind(dicts[0])}: results of a model, perhaps, but no annotations. {_EXPECTED}"
        )


def save(dataset: Any, path: str | os.PathLike[str], *, protocol: int = 4, overwrite: bool = False) -> None:
    """Write a data set, or Python objects in the documented form, to a file that PYSKL and MMAction2 open.

    Clips are written one at a time, and the file appears when it is complete: if the writing is interrupted, what
    was there before is as it was. Saving over the file that the data set was loaded from is safe; load it again
    afterwards. A folder of one-video pickles becomes one file, with the documented keys and no splits.

    Parameters
    ----------
    dataset
        What `load` gives or takes, but no path. A selection is saved with the ids of its own clips in the splits.
    path
        The file to write.
    protocol
        4, or 2 as the official tools write. Names of numpy are spelled as in numpy 1, so that old environments open
        the file.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    FileExistsError
        The file is there, and `overwrite` is False.
    FormatError
        The data is not of this format, or has a value that is no data; the message has its place.

    Examples
    --------
    >>> import os, tempfile
    >>> ds = pysklnb.load(pysklnb.sample("ntu60_hrnet"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pysklnb.save(ds.select(split="xsub_val"), os.path.join(folder, "val.pkl"))
    ...     len(pysklnb.load(os.path.join(folder, "val.pkl"))) == len(ds["split"]["xsub_val"])
    True
    """
    if isinstance(dataset, (str, os.PathLike)):
        raise FormatError(f"save(load({str(dataset)!r}), {str(path)!r}) is meant: the first argument is a data set.")
    ds = load(dataset)
    clips = ds["annotations"]
    form: Any
    if ds.container == "annotation" and len(ds) == 1:
        form = clips[0]
    elif ds.container == "list" or ds.container == "annotation":
        form = clips
    elif ds.container == "kpfile":
        form = _Kpfile(clips)
    else:
        form = {"split": ds["split"], "annotations": clips, **ds._extra}
    write(form, path, protocol=protocol, overwrite=overwrite)


class _Kpfile(Mapping[str, Any]):
    """Clips in the form of a kpfile: ids, and a dict of the rest."""

    def __init__(self, clips: Annotations) -> None:
        self._places = {clip["frame_dir"]: place for place, clip in enumerate(clips) if clip is not None}
        self._clips = clips
        if len(self._places) != len(clips):
            raise FormatError("a kpfile has each id once, and these clips have one twice. Save them as a list.")

    def __getitem__(self, key: str) -> Any:
        clip = self._clips[self._places[key]]
        return {} if clip is None else {name: clip[name] for name in clip if name != "frame_dir"}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


# ---------------------------------------------------------------------------------------------------------------
# Small things


def _fresh(value: Any) -> Any:
    """A value to hand out: arrays are read or copied, containers copied, so that nobody's edit reaches another."""
    if isinstance(value, ArrayHandle):
        return value.read()
    if isinstance(value, np.ndarray):
        return value.copy(order="K")
    if isinstance(value, OrderedDict):
        return OrderedDict((key, _fresh(item)) for key, item in value.items())
    if isinstance(value, dict):
        return {key: _fresh(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fresh(item) for item in value]
    if type(value) is tuple:
        return tuple(_fresh(item) for item in value)
    return value


def _short(value: Any) -> str:
    """A value in a few characters, however large it is."""
    if isinstance(value, (ArrayHandle, np.ndarray)):
        return f"<{value.dtype} array {list(value.shape)}>"
    if isinstance(value, (list, dict)) and len(value) > 8:
        return f"<{type(value).__name__} of {len(value):,}>"
    if isinstance(value, (list, tuple, dict, str, bytes)):
        return reprlib.repr(value)
    return repr(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int, np.integer))


def _is_ids(value: Any) -> bool:
    return isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str)


def _label(record: _Record | None) -> Any:
    label = None if record is None else record.get("label")
    return label if isinstance(label, (str, int, float, np.generic)) else None


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with the keys {', '.join(map(ascii, list(value)[:8]))}{', ...' if len(value) > 8 else ''}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value):,} items"
    if isinstance(value, ArrayHandle):
        return "a single array"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
