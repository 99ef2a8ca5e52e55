"""The rules of the validator by their codes, and the report of what was found.

*Error*: training on the file fails, or learns nonsense. *Warning*: probably not what was meant. *Note*: worth knowing.
What official files do is never an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from .description import number_of
from .sources import FormatError

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning", "note"]


class Rule(NamedTuple):
    """What a code means: how grave it is, what it says, and what to do about it."""

    severity: Severity
    title: str
    hint: str


class Rules(Mapping[str, Rule]):
    """The rules by their codes, read-only; shown as a table."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = dict(rules)

    def __getitem__(self, code: str) -> Rule:
        return self._rules[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def __repr__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{code:{width}}  {rule.severity:7}  {rule.title}" for code, rule in self.items())

    def _repr_html_(self) -> str:
        rows = [(_code(code), *map(escape, rule)) for code, rule in self.items()]
        return _table(("code", "severity", "what it says", "what to do"), rows)


# The codes are stable: people search for them, and scripts rely on them.
RULES = Rules(
    {
        # -- the file as a whole
        "unreadable": Rule("error", "the file cannot be read", "Get it again, or have it saved anew as plain data."),
        "form": Rule(
            "error",
            "this is no form of a skeleton file",
            "Make it {'split': {name: [ids]}, 'annotations': [clips]}, or a list of clips.",
        ),
        "no-clips": Rule("error", "there is no clip at all", "Put the clips into the list of annotations."),
        "clip-none": Rule("error", "None stands in the place of a clip", "Leave such clips out before saving."),
        "clip-not-dict": Rule(
            "error", "something else than a dict stands in the place of a clip", "Make each clip a dict of its fields."
        ),
        "annotations-not-list": Rule(
            "error",
            "annotations is not a list",
            "Make it a list: list(annotations.values()), each clip with its id as frame_dir.",
        ),
        "split-not-dict": Rule("error", "split is not a dict", "Make it {'train': [ids], 'val': [ids]}."),
        "no-split": Rule("note", "there is no split", "Before training, add 'split': {'train': [ids], 'val': [ids]}."),
        "split-single": Rule("note", "there is only one split", "Add one of other clips, to validate on."),
        "split-not-list": Rule(
            "error", "a split is not a list of ids", "Make a split the list of the frame_dir of its clips."
        ),
        "split-empty": Rule("warning", "a split is empty", "Put ids into it, or leave it out."),
        "split-unknown-id": Rule(
            "warning",
            "a split has an id that no clip has",
            "Correct or remove it: in training it is passed over without a word.",
        ),
        "split-repeated-id": Rule("warning", "a split has an id twice", "Leave one of them out."),
        "split-leak": Rule(
            "error",
            "a clip is both in the training and in the validation part of a split",
            "Take it out of one: what was trained on cannot be tested on.",
        ),
        "split-name": Rule(
            "note",
            "a split's name is close to an official one",
            "Rename it if a ready-made configuration shall find it.",
        ),
        "clip-in-no-split": Rule("warning", "a clip is in no split", "Add its id to one: it is never used otherwise."),
        # -- which clip it is
        "id-missing": Rule(
            "error", "a clip has no text as its id", "Give it a frame_dir, a text that no other clip has."
        ),
        "id-repeated": Rule(
            "error", "two clips have the same id", "Rename or remove one: a split cannot tell them apart."
        ),
        "id-in-filename": Rule(
            "note", "the id is in filename, the older key", "Call it frame_dir, unless old code reads the file."
        ),
        "not-data": Rule(
            "warning", "a value is no data, and cannot be saved", "Make it text, numbers, lists, dicts or an array."
        ),
        # -- frames
        "total-frames": Rule(
            "error", "total_frames is not a positive int", "Set it to the number of frames: keypoint.shape[1]."
        ),
        "total-frames-differ": Rule(
            "error", "total_frames is not T", "Set it to the number of frames: keypoint.shape[1]."
        ),
        "no-frames": Rule("error", "a clip has no frames (T = 0)", "Leave the clip out."),
        "no-people": Rule("note", "nobody was found in a clip (M = 0)", "Leave it out if training fails on it."),
        # -- the picture
        "img-shape": Rule(
            "error", "img_shape is not (height, width)", "Set it to two positive ints, the height first: (1080, 1920)."
        ),
        "img-shape-swapped": Rule(
            "warning", "img_shape looks like (width, height)", "Swap them: the height comes first."
        ),
        "original-shape": Rule("warning", "original_shape is not (height, width)", "Correct it or leave it out."),
        "normalised": Rule(
            "warning",
            "coordinates look normalised to 0...1",
            "Multiply x by the width and y by the height: pixels are expected.",
        ),
        "outside": Rule(
            "warning", "coordinates are far outside the picture", "Check img_shape, and that coordinates are in pixels."
        ),
        # -- arrays
        "keypoint-missing": Rule("error", "a clip has no keypoint", "Add the array [M, T, V, C] as 'keypoint'."),
        "keypoint-dtype": Rule(
            "error",
            "keypoint is no array of floats",
            "Make it one: np.asarray(keypoint, np.float32). Whole numbers are cut off when they are scaled.",
        ),
        "keypoint-axes": Rule(
            "error", "keypoint has not four axes", "Make them [M, T, V, C]: persons, frames, joints, coordinates."
        ),
        "keypoint-coordinates": Rule(
            "error", "C, the last axis of keypoint, has the wrong length", "2D: x, y, with scores apart. 3D: x, y, z."
        ),
        "layout": Rule(
            "warning",
            "V is the number of joints of no known layout",
            "Check the axes; a layout of your own can be named: validate(..., layout=Layout(...)).",
        ),
        "layout-differs": Rule(
            "error",
            "V is not the number of joints of the layout",
            "Name the layout that the joints have, here and there.",
        ),
        "joints-differ": Rule(
            "error",
            "clips have different numbers of joints",
            "Bring all to one layout, or make a file for each: a batch has one V.",
        ),
        "units": Rule(
            "warning", "coordinates in 3D are not in metres", "Divide millimetres by 1000, centimetres by 100."
        ),
        "score-inside": Rule(
            "warning",
            "the third coordinate looks like a score",
            "Take it out: keypoint_score = keypoint[..., 2], keypoint = keypoint[..., :2].",
        ),
        "score-missing": Rule(
            "error",
            "2D keypoints have no keypoint_score",
            "Add scores [M, T, V]: ones, and zero where a joint is missing.",
        ),
        "score-shape": Rule(
            "error",
            "keypoint_score has not the shape [M, T, V]",
            "Give each joint one score, in the order of keypoint.",
        ),
        "score-dtype": Rule(
            "error", "keypoint_score is no array of floats", "Make it one: np.asarray(keypoint_score, np.float32)."
        ),
        "score-range": Rule(
            "warning", "scores are outside 0 to 1.1", "Bring them to 0...1, if they are logits or percent."
        ),
        "array-damaged": Rule("error", "an array cannot be read", "Get the file again: it is damaged."),
        "not-finite": Rule("error", "an array has NaN or infinity", "Set such joints to zero, and their scores too."),
        "no-joints": Rule("warning", "a clip has no joint at all", "Leave it out: everything in it is zero."),
        "empty-frames": Rule("note", "a clip has frames with nobody", "Nothing: a model sees zeros there."),
        "missing-joint": Rule(
            "warning",
            "joints are missing by halves",
            "Set both to zero where a joint is missing: coordinates and score.",
        ),
        "precision": Rule(
            "note", "float16 coordinates above 1024", "Nothing, or save as float32: float16 has whole pixels there."
        ),
        # -- labels
        "no-labels": Rule("note", "no clip has a label", "Before training, add 'label': an int, from 0."),
        "label-missing": Rule("error", "a clip has no label, and others have", "Give it one, or leave the clip out."),
        "label-type": Rule("error", "a label is not an int", "Number the classes from 0: label = names.index(name)."),
        "label-numpy": Rule(
            "note", "a label is a numpy int", "Nothing, or int(label): plain ints are read everywhere."
        ),
        "label-range": Rule(
            "error",
            "a label is beyond the classes",
            "Number the classes from 0 to classes - 1: others stop training with a CUDA assert.",
        ),
        "label-from-1": Rule(
            "note", "labels begin at 1", "Subtract 1, unless class 0 is only absent here: classes are counted from 0."
        ),
        "label-gaps": Rule(
            "note", "not all labels below the largest occur", "Nothing in a part of a data set; else number them anew."
        ),
        # -- Kinetics' index
        "frame-inds": Rule(
            "error", "frame_inds is no row of ints", "Give each skeleton one frame number, as int16 [N]."
        ),
        "frame-inds-order": Rule("error", "frame_inds goes back", "Sort the skeletons by frame, and boxes with them."),
        "frame-inds-range": Rule(
            "error", "frame_inds is outside the video", "Check total_frames, and that both are of the same video."
        ),
        "frame-inds-base": Rule(
            "note", "where frame numbers begin, and their step", "Do not assume 0 or 1: files differ in it."
        ),
        "box-score": Rule("error", "box_score is no row of floats", "Give each skeleton one score, as float16 [N]."),
        "lengths-differ": Rule(
            "error", "arrays of one clip have different lengths", "Give each of them one row a skeleton."
        ),
        "valid-form": Rule(
            "warning", "valid is not a dict of numbers", "Make it {0.5: frames, 0.6: frames, ...}, or leave it out."
        ),
        "valid-differs": Rule(
            "warning", "valid is not what box_score counts to", "Count the frames with a box of at least that score."
        ),
        "valid-flat": Rule("note", "valid is written as flat keys", "Nothing: it is the older form of the index."),
        "raw-file": Rule("error", "raw_file is not a path", "Make it a text, or leave it out."),
        "raw-file-missing": Rule(
            "note", "the index does not name kpfiles", "Nothing: newer files find them by the ids."
        ),
        "kpfiles-not-read": Rule(
            "note",
            "skeletons that are in kpfiles were not looked at",
            "Name the folder of the kpfiles: validate(..., store=folder), or --kpfiles FOLDER.",
        ),
        "kpfile-missing": Rule(
            "error", "a clip's skeletons are not in the kpfiles", "Unpack all of the kpfiles, or leave the clip out."
        ),
        "kpfile-unreadable": Rule("error", "a clip's kpfile cannot be read", "Get that kpfile again."),
        # -- person slots
        "people": Rule(
            "note", "how many person slots clips have", "Nothing, but a person may change slots: they are places."
        ),
        "slots-swap": Rule(
            "note", "persons seem to change slots", "Track persons if it matters: a slot is a place, not a person."
        ),
        # -- what a named data set promises
        "dataset-keys": Rule("error", "a key of this data set is missing", "Check that it is that data set."),
        "dataset-splits": Rule("warning", "the splits are not this data set's", "Check that it is that data set."),
        "ntu-name": Rule("warning", "an id is no NTU name", "NTU names are SsssCcccPpppRrrrAaaa, in capitals."),
        "ntu-label": Rule(
            "error", "the label is not the one in the NTU name", "Set it to A - 1, for A as in the name."
        ),
    }
)
# With one of these, there was nothing to look at.
UNOPENED = frozenset({"unreadable", "form"})

_RANK = {"error": 0, "warning": 1, "note": 2}

# How many findings of one code are kept; all are counted.
MOST_STORED = 20
# How many places of one code are shown.
MOST_SHOWN = 3
# Ids are short; what is longer is cut where it is shown.
_LONGEST_ID = 60
_WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One fault: its stable `code`, how grave it is, where it is, what was found and what to do.

    `where` is a place such as ``annotations[12].keypoint_score``, or empty for the whole file or a single annotation;
    `frame_dir` is the id of that clip, or None.
    """

    code: str
    severity: Severity
    where: str
    frame_dir: str | int | None
    message: str
    hint: str

    def __str__(self) -> str:
        place = " of ".join(filter(None, [self.where, self._clip()]))
        return f"{place}: {self.message}" if place else self.message

    def _clip(self) -> str:
        if self.frame_dir is None:
            return ""
        text = f"{self.frame_dir}"
        shown = text if len(text) <= _LONGEST_ID else f"{text[:_LONGEST_ID]}..."
        return shown if shown.isprintable() else ascii(shown)


@dataclass(frozen=True)
class Report:
    """What `validate` found. ``report.ok`` is True when there is no error.

    Attributes
    ----------
    name : str
        The file, or "in memory".
    clips : int
        How many clips were looked at.
    findings : tuple of Finding
        In the order of the file; of each code the first few.
    counts : dict
        How often each code was found in all.
    rules : mapping
        All codes there are, with what they mean; shown as a table.
    """

    name: str
    clips: int
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    rules: ClassVar[Rules] = RULES

    @property
    def ok(self) -> bool:
        return not any(RULES[code].severity == "error" for code in self.counts)

    def to_frame(self) -> pd.DataFrame:
        """The findings as a table of pandas, one row each."""
        import pandas as pd

        return pd.DataFrame(map(astuple, self.findings), columns=[field.name for field in fields(Finding)])

    def raise_for_errors(self) -> None:
        """Raise `FormatError` with all errors, if there are any."""
        if not self.ok:
            raise FormatError("\n".join(self._lines("error")))

    def __str__(self) -> str:
        return "\n".join(self._lines("error", "warning", "note"))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for code, found in self._by_code():
            places = [*map(str, found[:MOST_SHOWN]), *self._more(code)]
            cells = (RULES[code].title, f"{self.counts[code]:,}", "\n".join(places), " ".join(_hints(found)))
            rows.append((RULES[code].severity, _code(code), *map(_breaking, cells)))
        head = ("", "code", "what it says", "times", "where, and what was found", "what to do")
        return f"<p><b>{escape(self._headline())}</b></p>{_table(head, rows) if rows else ''}"

    def _headline(self) -> str:
        totals = Counter[str]()
        for code, count in self.counts.items():
            totals[RULES[code].severity] += count
        words = [number_of(self.clips, "clip"), *(number_of(totals[severity], severity) for severity in _RANK)]
        return f"{self.name}: {', '.join(words)}"

    def _by_code(self) -> list[tuple[str, list[Finding]]]:
        """The findings of each code, the gravest first."""
        found: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            found[finding.code].append(finding)
        return sorted(found.items(), key=lambda item: _RANK[RULES[item[0]].severity])

    def _more(self, code: str) -> list[str]:
        more = self.counts[code] - MOST_SHOWN
        return [f"and {more:,} more"] if more > 0 else []

    def _lines(self, *severities: Severity) -> Iterator[str]:
        yield self._headline()
        for code, found in self._by_code():
            rule = RULES[code]
            if rule.severity in severities:
                times = f", {self.counts[code]:,} times" if self.counts[code] > 1 else ""
                yield from _wrapped(f"{rule.severity} [{code}]{times}: {rule.title}", "  ")
                for line in [*map(str, found[:MOST_SHOWN]), *self._more(code)]:
                    yield from _wrapped(line, "      ")
                yield from _wrapped(f"What to do: {' '.join(_hints(found))}", "      ")


class Findings:
    """What is found while a file is gone through: every fault is counted, the first few of each code are kept."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def add(self, code: str, where: str, message: str, frame_dir: Any = None, hint: str = "") -> None:
        self.counts[code] += 1
        if self.counts[code] <= MOST_STORED:
            rule = RULES[code]
            clip = frame_dir if isinstance(frame_dir, (str, int)) else None
            self.kept.append(Finding(code, rule.severity, where, clip, message, hint or rule.hint))

    def report(self, name: str, clips: int) -> Report:
        return Report(name, clips, tuple(self.kept), dict(self.counts))


def _hints(found: list[Finding]) -> list[str]:
    """The hints of those that are shown, each once."""
    return list(dict.fromkeys(finding.hint for finding in found[:MOST_SHOWN]))


def _wrapped(text: str, indent: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


def _code(code: str) -> str:
    return f'<code style="white-space:nowrap">{code}</code>'


def _breaking(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    top = "".join(f'<th style="text-align:left">{name}</th>' for name in head)
    body = "".join(f"<tr>{''.join(map(_CELL.format, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


_CELL = '<td style="text-align:left;vertical-align:top">{}</td>'
