"""The nine public skeleton files as cards: what they hold, and the names of their classes.

A file's name proves nothing about its contents, so nothing here looks at a file; a card says what the
published file of that name holds. What nobody has published is ``None``, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path

from .layouts import nearest_of

_DATA = Path(__file__).parent / "data"
_LABELS = _DATA / "labels"
MINIATURES = _DATA / "miniatures"


@dataclass(frozen=True, slots=True)
class Card:
    """What the published file of one data set holds.

    Attributes
    ----------
    name : str
        The catalogue name, which is the file's name without ``.pkl``.
    title : str
        The data set in words.
    layout : str
        The skeleton layout, a name that `pysklnb.layouts` knows.
    dimensions : int
        2 for pixels in a picture, 3 for metres in the camera's space.
    classes : int
        How many labels there are; they run from 0 to ``classes - 1``.
    splits : tuple of str
        The names of the splits, in the file's own order as far as known.
    clips : int or None
        How many annotations the file has; None where that was not published.

    Examples
    --------
    >>> card = pysklnb.catalog["ntu60_hrnet"]
    >>> card.layout, card.dimensions, card.clips
    ('coco', 2, 56578)
    >>> card.class_names[9]
    'clapping'
    """

    name: str
    title: str
    layout: str
    dimensions: int
    classes: int
    splits: tuple[str, ...]
    clips: int | None
    _labels: str = field(repr=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in label order.

        Two classes of FineGYM bear the same name: use labels as keys, not names.
        """
        # NTU60's classes are the first 60 of NTU120's.
        return _read_lines(self._labels)[: self.classes]


@cache
def _read_lines(filename: str) -> tuple[str, ...]:
    return tuple((_LABELS / filename).read_text(encoding="utf-8").splitlines())


def unknown_name(name: str, known: Sequence[str]) -> KeyError:
    """Make the error for a data set that nobody knows, with the nearest known names."""
    return KeyError(f"no data set is named {name!r} ({nearest_of(str(name), known)})")


class Catalog(Mapping[str, Card]):
    """The cards by name, read-only; shown as a table."""

    def __init__(self, *cards: Card) -> None:
        self._cards = {card.name: card for card in cards}

    def __getitem__(self, name: str) -> Card:
        try:
            return self._cards[name]
        except KeyError:
            raise unknown_name(name, list(self._cards)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("name", "data set", "layout", "dimensions", "classes", "clips", "splits")]
        for card in self.values():
            clips = "not published" if card.clips is None else f"{card.clips:,}"
            size = (f"{card.dimensions}D", str(card.classes), clips)
            rows.append((card.name, card.title, card.layout, *size, ", ".join(card.splits)))
        return rows

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def _repr_html_(self) -> str:
        head, *body = (
            "".join(f'<td style="text-align: left">{escape(text)}</td>' for text in row) for row in self._rows()
        )
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        return f"<table><thead><tr>{head.replace('td', 'th')}</tr></thead><tbody>{rows}</tbody></table>"


_NTU60 = ("xsub_train", "xsub_val", "xview_train", "xview_val")
_NTU120 = ("xsub_train", "xsub_val", "xset_train", "xset_val")
_THREE_FOLDS = ("train1", "train2", "train3", "test1", "test2", "test3")

catalog = Catalog(
    Card("ntu60_hrnet", "NTU RGB+D", "coco", 2, 60, _NTU60, 56_578, "ntu120.txt"),
    Card("ntu60_3danno", "NTU RGB+D", "nturgb+d", 3, 60, _NTU60, 56_578, "ntu120.txt"),
    Card("ntu120_hrnet", "NTU RGB+D 120", "coco", 2, 120, _NTU120, None, "ntu120.txt"),
    Card("ntu120_3danno", "NTU RGB+D 120", "nturgb+d", 3, 120, _NTU120, 113_945, "ntu120.txt"),
    Card("gym_hrnet", "FineGYM", "coco", 2, 99, ("train", "val"), 29_005, "gym99.txt"),
    Card("ucf101_hrnet", "UCF101", "coco", 2, 101, _THREE_FOLDS, 13_320, "ucf101.txt"),
    Card("hmdb51_hrnet", "HMDB51", "coco", 2, 51, _THREE_FOLDS, 6_371, "hmdb51.txt"),
    Card("diving48_hrnet", "Diving48", "coco", 2, 48, ("train", "test"), None, "diving48.txt"),
    Card("k400_hrnet", "Kinetics-400", "coco", 2, 400, ("train", "val"), None, "kinetics400.txt"),
)
