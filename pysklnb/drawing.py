"""Pictures of skeletons: one frame, a film strip of a clip, who is there when, the quality of a data set.

Public as ``pysklnb.plot``.

A clip is a mapping with ``keypoint`` [M, T, V, C], and in 2D ``keypoint_score`` [M, T, V] and ``img_shape``. Every
function takes axes or makes some, and gives back what it drew on. Nothing is shown, no file is written.
Two dimensions are pixels, y down; three are metres, y up; the scale is equal. A person's own left is blue,
the right vermilion, and what has no side is grey: `SIDE_COLORS`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import layouts
from .description import number_of
from .layouts import Layout, Side

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["SIDE_COLORS", "frame", "overview", "presence", "strip"]

Clip = Mapping[str, Any]
Style = Mapping[str, Any]
Floats = npt.NDArray[np.float32]

# Blue and vermilion of Okabe and Ito's palette: told apart by every kind of colour vision, clear on white.
SIDE_COLORS: dict[Side, str] = {"center": "#707070", "left": "#0072B2", "right": "#D55E00"}

_INK, _EDGE, _PAPER = "#505050", "#c8c8c8", "#f5f5f5"


def frame(
    clip: Clip,
    t: int,
    *,
    layout: str | Layout | None = None,
    ax: Axes | None = None,
    line_kws: Style | None = None,
    marker_kws: Style | None = None,
) -> Axes:
    """Draw everybody in one frame of a clip; where there are several, the number is the person slot (M).

    A missing joint (zero coordinates with zero score, or not finite) is left out, and so are its bones. The
    limits are the picture's, or those of the whole clip, so that frames can be compared.

    Parameters
    ----------
    clip : mapping
        ``keypoint`` [M, T, V, C], C = 2 in px or C = 3 in m; ``keypoint_score`` [M, T, V] and ``img_shape``
        (height, width) when there are any.
    t : int
        The frame, counted from 0; a negative one counts from the end.
    layout : str or Layout, optional
        Which joints these are; guessed from V and C when not given.
    ax : matplotlib Axes, optional
        Where to draw. Metres get 3D axes when there are none, and are seen from the front in plain ones.
    line_kws, marker_kws : mapping, optional
        Keywords for the bones (a matplotlib LineCollection) and for the joints (``scatter``).

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    IndexError
        The clip has no such frame.
    TypeError, ValueError
        It is not a clip with skeletons, or its layout is not known.

    Examples
    --------
    >>> keypoint = np.random.default_rng(0).uniform(0, 200, size=(1, 30, 17, 2))
    >>> ax = frame({"keypoint": keypoint, "img_shape": (240, 320)}, 12)
    >>> ax.get_title(loc="left")
    'frame 12 of 30'
    """
    from matplotlib.patches import Rectangle

    people, layout = _read(clip, layout)
    T, C = people.shape[1], people.shape[3]
    t = _frame_number(t, T)
    picture = _picture(clip) if C == 2 else None
    solid = C == 3 and (ax is None or ax.name == "3d")
    # From here on the last coordinate is the vertical one: x, y in a plane, x, z, y in space.
    people = people[..., [0, 2, 1]] if solid else people[..., :2]
    low, high = _bounds(people, picture)
    if ax is None:
        ax = _new_axes((4.8, 4.8) if solid else _fit(high - low, 6.0, 4.2), solid=solid)
    if solid:
        _set_space(ax, low, high)
    else:
        _set_plane(ax, low, high, pixels=C == 2)
        ax.set_xlabel("px" if C == 2 else "m", loc="right", color=_INK)
        ax.tick_params(length=2, labelsize="small", color=_EDGE, labelcolor=_INK)
    if picture is not None:
        ax.add_patch(Rectangle((0, 0), *picture, facecolor=_PAPER, edgecolor=_EDGE, clip_on=False, zorder=0))
    if np.isnan(people[:, t]).all():
        _write(ax, (low + high) / 2, "nobody detected")
    _draw(ax, people[:, t], layout, line_kws or {}, marker_kws or {})
    _number(ax, people[:, t], lift=(-0.02 if C == 2 else 0.02) * (high - low)[-1])
    ax.set_title(f"frame {t} of {T}", loc="left", fontsize="medium", color=_INK)
    return ax


def strip(
    clip: Clip,
    frames: int | Sequence[int] = 6,
    *,
    layout: str | Layout | None = None,
    ax: Axes | None = None,
    line_kws: Style | None = None,
    marker_kws: Style | None = None,
) -> Axes:
    """Draw some frames of a clip side by side, as in a film strip, seen from the front.

    All have one scale and one height, cropped to the people. Sideways each frame follows its people, so that
    somebody who crosses the whole picture is drawn large nevertheless.

    Parameters
    ----------
    clip : mapping
        As in `frame`.
    frames : int or sequence of int
        How many, evenly spaced from the first to the last; or which, counted from 0.
    layout, line_kws, marker_kws
        As in `frame`.
    ax : matplotlib Axes, optional
        Where to draw: plain axes, for 2D and 3D alike.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    IndexError
        The clip has no such frame.
    TypeError, ValueError
        It is not a clip with skeletons, its layout is not known, or no frame is asked for.

    Examples
    --------
    >>> keypoint = np.random.default_rng(0).uniform(0, 200, size=(1, 30, 17, 2))
    >>> ax = strip({"keypoint": keypoint}, frames=4)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['0', '10', '19', '29']
    """
    people, layout = _read(clip, layout)
    _, T, V, C = people.shape
    if isinstance(frames, int | np.integer):
        numbers = np.linspace(0, T - 1, min(max(frames, 0), T)).round().astype(int).tolist()
    else:
        numbers = [_frame_number(t, T) for t in frames]
    if not T:
        raise ValueError("the clip has no frames (T = 0): there is nothing to draw")
    if not numbers:
        raise ValueError(f"no frame to draw: frames is {frames!r}, and the clip has {T}; ask for one or more")
    if ax is not None and ax.name == "3d":
        raise ValueError("a strip is drawn on plain axes, and these are 3D; pass others, or none")

    people = people[:, numbers, :, :2]
    low, high = _bounds(people)
    height = high[1] - low[1]
    left = np.nanmin(people[..., 0], axis=(0, 2), initial=np.inf)
    right = np.nanmax(people[..., 0], axis=(0, 2), initial=-np.inf)
    left, right = np.where(left > right, 0, (left, right))  # a frame with nobody
    width = max((right - left).max(), 0.4 * height) + 0.1 * height
    centers = (width + 0.05 * height) * np.arange(len(numbers))
    people[..., 0] += (centers - (left + right) / 2)[:, np.newaxis]

    low[0], high[0] = -width / 2, centers[-1] + width / 2
    if ax is None:
        ax = _new_axes(_fit(high - low, 9.0, 2.2))
    _set_plane(ax, low, high, pixels=C == 2)
    ax.bar(centers, height, width, bottom=low[1], color=_PAPER, zorder=0)
    for f, center in enumerate(centers):
        if np.isnan(people[:, f]).all():
            _write(ax, (center, low[1] + height / 2), "nobody")
    _draw(ax, people.reshape(-1, V, 2), layout, line_kws or {}, marker_kws or {})
    ax.set_xticks(centers, [str(t) for t in numbers])
    ax.set_yticks([])
    ax.tick_params(length=0, labelcolor=_INK)
    ax.set_title(f"{len(numbers)} of {T} frames", loc="left", fontsize="medium", color=_INK)
    return ax


def presence(clip: Clip, *, ax: Axes | None = None, image_kws: Style | None = None) -> Axes:
    """Draw who is there when: frames from left to right, people from top to bottom, the darker the surer.

    White is nobody. Of a clip of the normal form, a row is a person slot, and its shade the mean score of the
    person's joints. Of a compressed one, a record of a Kinetics index among them, a row is the place of a skeleton
    among those of its frame, and its shade the box score; frames have the numbers that `frame_inds` gives them.

    Parameters
    ----------
    clip : mapping
        ``keypoint`` [M, T, V, C], and ``keypoint_score`` [M, T, V] if there are any; or ``frame_inds`` [N], and
        ``box_score`` [N] if there are any.
    ax : matplotlib Axes, optional
        Where to draw: plain axes.
    image_kws : mapping, optional
        Keywords for ``imshow``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        It is no such clip.

    Examples
    --------
    >>> ax = presence({"frame_inds": [1, 1, 3, 5], "box_score": [0.9, 0.6, 0.9, 0.8], "total_frames": 6})
    >>> ax.get_title(loc="left")
    '4 skeletons in 3 of 6 frames'
    """
    from matplotlib.ticker import MaxNLocator

    if isinstance(clip, Mapping) and "frame_inds" in clip:
        shades, start, title = _detections(clip)
        people, frames, what = "place in frame", "frame, as in frame_inds", "box score"
    else:
        shades, start, title = _attendance(clip)
        people, frames, what = "person slot", "frame", "mean joint score"
    if ax is None:
        ax = _new_axes((9.0, min(1.3 + 0.18 * len(shades), 4.0)))
    rows, columns = shades.shape
    extent = (start - 0.5, start + columns - 0.5, rows - 0.5, -0.5)
    style = {"aspect": "auto", "cmap": "viridis_r", "vmin": 0, "vmax": 1, "interpolation": "nearest", "extent": extent}
    image = ax.imshow(shades, **{**style, **(image_kws or {})})
    ax.figure.colorbar(image, ax=ax, pad=0.01, label=what)
    for axis in ax.xaxis, ax.yaxis:
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel(frames, color=_INK)
    ax.set_ylabel(people, color=_INK)
    ax.spines[:].set_color(_EDGE)
    ax.tick_params(length=2, labelsize="small", color=_EDGE, labelcolor=_INK)
    ax.set_title(title, loc="left", fontsize="medium", color=_INK)
    return ax


def _attendance(clip: Clip) -> tuple[Floats, int, str]:
    """Give the mean score of each person in each frame [M, T], NaN where nobody is, the first frame, and a title."""
    people = _people(clip)
    there = ~np.isnan(people[..., 0])
    score = np.where(there, 1.0 if clip.get("keypoint_score") is None else clip["keypoint_score"], 0)
    joints = there.sum(axis=-1)
    shades = np.where(joints, score.sum(axis=-1) / np.maximum(joints, 1), np.nan).astype(np.float32)
    return shades, 0, f"{number_of(len(people), 'person slot')}, {number_of(people.shape[1], 'frame')}"


def _detections(clip: Clip) -> tuple[Floats, int, str]:
    """Give the score of each row of a compressed clip, at its frame and place; the first frame, and a title."""
    frames = np.asarray(clip["frame_inds"])
    scores = np.asarray(clip["box_score"] if "box_score" in clip else np.ones(len(frames)), np.float32)
    if frames.ndim != 1 or frames.dtype.kind not in "iu" or scores.shape != frames.shape:
        raise ValueError(
            f"frame_inds and box_score: expected two rows of one length, found {frames.shape}, {scores.shape}"
        )
    numbers, starts, counts = np.unique(frames, return_index=True, return_counts=True)
    if (np.diff(frames) < 0).any() or (len(numbers) and numbers[0] < 0):
        raise ValueError("frame_inds: expected numbers from 0 that never fall; pysklnb.validate says more")
    total = int(clip.get("total_frames", 0))
    start = 0 if len(numbers) and numbers[0] == 0 else 1
    shades = np.full((counts.max(initial=1), max(total, numbers.max(initial=0) + 1 - start)), np.nan, np.float32)
    shades[np.arange(len(frames)) - starts.repeat(counts), frames - start] = scores
    title = f"{number_of(len(frames), 'skeleton')} in {len(numbers):,} of {number_of(shades.shape[1], 'frame')}"
    return shades, start, title


# The columns of `pysklnb.quality` that are drawn, and what is counted along their axes.
_MEASURES = {
    "people": "person slots",
    "frames": "frames",
    "empty_frames": "frames with nobody",
    "missing_joints": "share of missing joints",
    "mean_score": "mean score",
    "slot_swaps": "changes of slot",
}


def overview(table: pd.DataFrame, *, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw how the clips of a data set are distributed over what `pysklnb.quality` measures.

    Parameters
    ----------
    table : pandas.DataFrame
        What `pysklnb.quality` gives: a row a clip. Columns without a number are left out.
    axes : sequence of matplotlib Axes, optional
        Where to draw, one for each measure, at most six.

    Returns
    -------
    list of matplotlib Axes

    Raises
    ------
    ValueError
        The table has none of these columns, or there are too few axes.

    Examples
    --------
    >>> axes = overview(pysklnb.quality(pysklnb.sample("ntu60_hrnet")))
    >>> axes[0].get_xlabel()
    'person slots'
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    measures = [name for name in _MEASURES if name in table and table[name].notna().any()]
    if not measures:
        raise ValueError(f"expected the table of pysklnb.quality, found the columns {', '.join(map(str, table))}")
    if axes is None:
        columns = min(3, len(measures))
        rows = -(-len(measures) // columns)
        _, grid = plt.subplots(rows, columns, figsize=(3 * columns, 1.9 * rows), layout="constrained", squeeze=False)
        for spare in grid.flat[len(measures) :]:
            spare.remove()
        axes = list(grid.flat[: len(measures)])
    if len(axes) < len(measures):
        raise ValueError(f"{len(measures)} axes are needed, for {', '.join(measures)}; found {len(axes)}")
    for ax, name in zip(axes, measures, strict=False):
        values = table[name].dropna().to_numpy()
        several, counts = np.unique(values, return_counts=True)
        if len(several) <= 12 and (several % 1 == 0).all():
            ax.bar(several, counts, color=_INK)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            ax.hist(values, bins=20, color=_INK)
        ax.set_xlabel(_MEASURES[name], color=_INK)
        ax.set_ylabel("clips", color=_INK)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize="small", labelcolor=_INK, color=_EDGE)
    return list(axes[: len(measures)])


def _read(clip: Clip, layout: str | Layout | None) -> tuple[Floats, Layout]:
    """Give a clip's people [M, T, V, C] and their layout; or say why it cannot."""
    people = _people(clip)
    return people, _layout(layout, *people.shape[2:])


def _people(clip: Clip) -> Floats:
    """Give a clip's people [M, T, V, C], missing joints as NaN; or say why it cannot."""
    if not isinstance(clip, Mapping):
        raise TypeError(f"expected a clip (a mapping with 'keypoint'), found {type(clip).__name__}")
    if "keypoint" not in clip:
        if "frame_inds" in clip:
            raise ValueError("a Kinetics record has no 'keypoint', its kpfile has: decompress the clip first")
        raise ValueError(f"a clip needs 'keypoint', found only {', '.join(map(repr, clip)) or 'nothing'}")
    keypoint = np.asarray(clip["keypoint"])
    shape = keypoint.shape
    if len(shape) == 3 and shape[2] == 3:
        raise ValueError(f"keypoint {shape} is the [N, V, 3] of a compressed clip: decompress it first")
    if len(shape) != 4 or shape[3] not in (2, 3) or keypoint.dtype.kind not in "fiu":
        raise ValueError(f"keypoint: expected numbers [M, T, V, 2 or 3], found {keypoint.dtype} {shape}")
    # float16 has steps of 1 px above 1024, and overflows in sums.
    people = keypoint.astype(np.float32)
    absent = (people == 0).all(axis=-1)
    score = clip.get("keypoint_score")
    if score is not None:
        if np.shape(score) != shape[:3]:
            raise ValueError(f"keypoint_score: expected {shape[:3]} as keypoint has, found {np.shape(score)}")
        absent &= ~(np.asarray(score) > 0)
    elif shape[3] == 3:
        # In metres one joint may well be the origin; a body that is not there is zero throughout.
        absent = np.broadcast_to(absent.all(axis=-1, keepdims=True), absent.shape)
    people[absent | ~np.isfinite(people).all(axis=-1)] = np.nan
    return people


def _layout(layout: str | Layout | None, V: int, C: int) -> Layout:
    """Give the layout asked for, or the one that V and C suggest."""
    if layout is not None:
        layout = layouts.get(layout)
        if layout.V != V:
            raise ValueError(f"layout {layout.name!r} has {layout.V} joints, and the clip has V = {V}")
        return layout
    guessed = layouts.guess(V, C)
    if guessed is None or (C == 3 and guessed in (layouts.coco, layouts.openpose)):
        raise ValueError(
            f"the layout of these joints is not clear: {layouts.guess_reason(V, C)}; pass layout=, "
            f"one of {', '.join(layouts.names())} or a layouts.Layout of your own"
        )
    return guessed


def _frame_number(t: int, T: int) -> int:
    """Give frame t counted from 0, or say which there are."""
    if not -T <= t < T:
        there = f"its {T} frames are numbered 0 to {T - 1}" if T else "it has no frames"
        raise IndexError(f"the clip has no frame {t}: {there}")
    return index(t) % T


def _picture(clip: Clip) -> tuple[int, int] | None:
    """Give the (width, height) of a clip's picture in px, or None when it is not known."""
    size = clip.get("img_shape")
    if size is None:
        return None
    try:
        height, width = (int(side) for side in size[:2])
    except (TypeError, ValueError):
        raise ValueError(f"img_shape: expected (height, width), found {reprlib.repr(size)}") from None
    return width, height


def _bounds(points: Floats, picture: tuple[int, int] | None = None) -> tuple[Floats, Floats]:
    """Give the lowest and the highest corner [D] around all points [..., D] and the picture."""
    flat = points.reshape(-1, points.shape[-1])
    low = np.nanmin(flat, axis=0, initial=np.inf)
    high = np.nanmax(flat, axis=0, initial=-np.inf)
    if not np.isfinite(low).all():
        low, high = -np.ones_like(low), np.ones_like(low)
    size = (high - low).max()
    if picture is None:
        # Somebody seen exactly from the side, or one joint alone, takes some room nevertheless.
        air = 0.05 * size + np.maximum(0.2 * size - (high - low), 0) / 2
        return low - air, high + air
    # People outside the picture happen, and so does a wrong img_shape: they are shown, not cut off.
    return np.minimum(low, 0), np.maximum(high, picture)


def _new_axes(size: tuple[float, float], *, solid: bool = False) -> Axes:
    """Give the axes of a new figure of that size in inches."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    return figure.add_subplot(projection="3d" if solid else None)


def _fit(size: Floats, width: float, height: float) -> tuple[float, float]:
    """Give the inches of a figure with that proportion, at most that large, and with room for its labels."""
    scale = min(width / size[0], height / size[1])
    return max(scale * float(size[0]), 3.2), max(scale * float(size[1]), 1.0) + 0.6


def _set_plane(ax: Axes, low: Floats, high: Floats, *, pixels: bool) -> None:
    """Set the limits of plain axes, equal in scale, with y down in pixels and up in metres."""
    ax.set_aspect("equal")
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(*((high[1], low[1]) if pixels else (low[1], high[1])))
    ax.spines[:].set_visible(False)


def _set_space(ax: Any, low: Floats, high: Floats) -> None:
    """Set the limits of 3D axes (x, z, y), equal in scale, looked into from where the camera stands."""
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    ax.set_box_aspect(high - low)
    ax.view_init(elev=10, azim=-75)
    step = np.diff(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(0, (high - low).max()))[0]
    for axis, name in (ax.xaxis, "x"), (ax.yaxis, "z"), (ax.zaxis, "y"):
        axis.set_major_locator(MultipleLocator(step))
        axis.set_label_text(f"{name} (m)", color=_INK)
        axis.set_pane_color(_PAPER)
    ax.zaxis.labelpad = 8
    ax.tick_params(labelsize="small", labelcolor=_INK)


def _bones(points: Floats, layout: Layout, side: Side) -> Floats:
    """Give the bones [S, 2, D] of one side of people [..., V, D], but none that ends at a missing joint."""
    edges = np.array(layout.edges, dtype=int).reshape(-1, 2)[np.array(layout.edge_sides) == side]
    bones = points[..., edges, :].reshape(-1, 2, points.shape[-1])
    return bones[~np.isnan(bones).any(axis=(1, 2))]


def _joints(points: Floats, layout: Layout, side: Side) -> Floats:
    """Give the joints [S, D] of one side of people [..., V, D], without the missing ones."""
    joints = points[..., np.array(layout.sides) == side, :].reshape(-1, points.shape[-1])
    return joints[~np.isnan(joints).any(axis=1)]


def _draw(ax: Any, people: Floats, layout: Layout, line_kws: Style, marker_kws: Style) -> None:
    """Draw people [P, V, D], a side at a time, and say which colour is which side."""
    from matplotlib.collections import LineCollection
    from mpl_toolkits.mplot3d.art3d import Line3DCollection  # type: ignore[import-untyped]

    collection: Any = Line3DCollection if people.shape[-1] == 3 else LineCollection
    width = _line_width(ax, people)
    handles = []
    for side, color in SIDE_COLORS.items():
        bones, joints = _bones(people, layout, side), _joints(people, layout, side)
        if len(bones):
            style = {"colors": color, "linewidths": width, "capstyle": "round", "label": side}
            lines = collection(bones, **{**style, **line_kws})
            ax.add_collection(lines, autolim=False)
            if side != "center":
                handles.append(lines)
        if len(joints):
            style = {"color": color, "s": 4 * width**2, "zorder": 3, "label": side}
            ax.scatter(*joints.T, **{**style, **marker_kws})
    if handles:
        # Beside the title; where the axes are too narrow for both, beside the axes.
        narrow = ax.name != "3d" and _inches_per_unit(ax) * np.ptp(ax.get_xlim()) < 2.4
        legend = ax.legend(
            handles=handles,
            loc="upper left" if narrow else "lower right",
            bbox_to_anchor=(1, 1),
            ncols=1 if narrow else 2,
            frameon=False,
            borderpad=0,
            handlelength=1,
            columnspacing=1,
            labelcolor=_INK,
        )
        for handle in legend.legend_handles:
            handle.set_linewidth(2)


def _line_width(ax: Any, people: Floats) -> float:
    """Give the points that suit bodies of this size: 2, and less in a crowd of small ones."""
    high = np.nanmax(people[..., -1], axis=-1, initial=-np.inf)
    low = np.nanmin(people[..., -1], axis=-1, initial=np.inf)
    if ax.name == "3d" or not (high > low).any():
        return 2.0
    inches = _inches_per_unit(ax) * np.median((high - low)[high > low])
    return float(np.clip(1.4 * inches, 0.7, 2))


def _inches_per_unit(ax: Any) -> float:
    """Give how long a pixel or a metre is on paper, in plain axes that have their limits."""
    units = np.array([np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())])
    return float((np.array(ax.bbox.size) / ax.figure.dpi / units).min())


def _number(ax: Any, people: Floats, lift: float) -> None:
    """Write the slot above each person of [M, V, D], when there are several."""
    present = [m for m, person in enumerate(people) if not np.isnan(person).all()]
    for m in present if len(present) > 1 else []:
        at = np.nanmean(people[m], axis=0)
        at[-1] = (np.nanmax if lift > 0 else np.nanmin)(people[m, :, -1]) + lift
        _write(ax, at, str(m), va="bottom", fontsize="small")


def _write(ax: Any, at: Iterable[float], text: str, **style: Any) -> None:
    """Write a short text centred at a place [D] of plain or 3D axes."""
    ax.text(*at, text, **{"ha": "center", "va": "center", "color": _INK, **style})
