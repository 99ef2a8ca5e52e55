"""Skeleton layouts: which joint is number 7, which joints a bone joins, which side of the body it is on.

A clip's ``keypoint`` holds V joints a person and does not say which; a :class:`Layout` does. Four are built
in: ``coco`` (17 joints), ``openpose`` (18), ``nturgb+d`` (25) and ``handmp`` (21, one hand). Left and right
are the person's own, and are read from the joints' names alone.

>>> from pysklnb import layouts
>>> layouts.coco.joints[9], layouts.coco.side(9)
('left_wrist', 'left')
>>> layouts.guess(25, 3)
<Layout 'nturgb+d': 25 joints, 24 edges, root spine_shoulder>
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Layout", "coco", "get", "guess", "guess_reason", "handmp", "names", "nturgbd", "openpose"]

Side = Literal["left", "right", "center"]


@dataclass(frozen=True, init=False, repr=False)
class Layout:
    """The joints of a skeleton, in the order of a clip's V axis, and the edges (bones) between them.

    Parameters
    ----------
    name : str
        What to call it.
    joints : str or sequence of str
        V names: one string with spaces between them, or a sequence. ``left_x`` and ``right_x`` are a pair;
        a joint without such a prefix is in the centre.
    edges : str or sequence
        Chains of joints: one string such as ``"hip-neck-head neck-left_hand"``, or a sequence of such chains
        and of tuples of names or 0-based indices, such as ``("neck", "head")`` or ``(0, 1)``.
    root : str or int, optional
        The joint from which the others hang.

    Raises
    ------
    ValueError
        A joint, an edge or the root does not fit; all the faults are told at once.

    Examples
    --------
    >>> mine = Layout("mine", "hip neck head left_hand right_hand", "hip-neck-head left_hand-neck-right_hand")
    >>> mine.edges
    ((0, 1), (1, 2), (3, 1), (1, 4))
    >>> mine.pairs
    ((3, 4),)
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    root: int | None

    def __init__(
        self,
        name: str,
        joints: str | Sequence[str],
        edges: str | Iterable[str | Sequence[str | int]] = (),
        root: str | int | None = None,
    ) -> None:
        # A layout is shared and hashed, hence frozen; only here are its fields set, past the lock.
        def set_field(field: str, value: object) -> None:
            object.__setattr__(self, field, value)

        set_field("name", name)
        set_field("joints", tuple(joints.split() if isinstance(joints, str) else joints))
        faults = [] if self.joints else ["it has no joints"]
        repeated = sorted({joint for joint in self.joints if self.joints.count(joint) > 1})
        faults += [f"the joint {joint!r} is named more than once" for joint in repeated]

        def find(joint: str | int, place: str) -> int | None:
            try:
                return self.index(joint)
            except ValueError as error:
                faults.append(f"{place}: {error}")
                return None

        pairs: list[tuple[int, int]] = []
        for chain in edges.split() if isinstance(edges, str) else edges:
            ends = chain.split("-") if isinstance(chain, str) else chain
            place = f"edge {chain!r}"
            if len(ends) < 2:
                faults.append(f"{place}: expected two joints or more, such as 'neck-head' or (0, 1)")
            for a, b in pairwise([find(joint, place) for joint in ends]):
                if a is None or b is None:
                    continue
                if a == b:
                    faults.append(f"{place}: joins {self.joints[a]!r} to itself")
                if (a, b) in pairs or (b, a) in pairs:
                    faults.append(f"{place}: {self.joints[a]!r} and {self.joints[b]!r} are joined already")
                pairs.append((a, b))
        set_field("edges", tuple(pairs))
        set_field("root", None if root is None else find(root, "root"))
        if faults:
            raise ValueError(f"layout {name!r}: " + "; ".join(faults))

    def __repr__(self) -> str:
        root = "" if self.root is None else f", root {self.joints[self.root]}"
        return f"<Layout {self.name!r}: {self.V} joints, {len(self.edges)} edges{root}>"

    @property
    def V(self) -> int:
        """The number of joints."""
        return len(self.joints)

    def index(self, joint: str | int) -> int:
        """Give the place of a joint on the V axis, from its name or its 0-based index.

        Raises
        ------
        ValueError
            There is no such joint.

        Examples
        --------
        >>> coco.index("left_wrist")
        9
        """
        if isinstance(joint, str):
            if joint not in self.joints:
                raise ValueError(f"no joint is named {joint!r} ({nearest_of(joint, self.joints)})")
            return self.joints.index(joint)
        if not 0 <= joint < self.V:
            raise ValueError(f"no joint has the index {joint} (they go from 0 to {self.V - 1})")
        return int(joint)

    def side(self, joint: str | int) -> Side:
        """Say whether a joint, given by name or index, is ``"left"``, ``"right"`` or ``"center"``."""
        name = self.joints[self.index(joint)]
        return "left" if name.startswith("left_") else "right" if name.startswith("right_") else "center"

    @property
    def sides(self) -> tuple[Side, ...]:
        """The side of each joint."""
        return tuple(self.side(j) for j in range(self.V))

    @property
    def edge_sides(self) -> tuple[Side, ...]:
        """The side of each edge: centre when it joins both sides (hip to hip) or none."""
        reached = [{self.side(a), self.side(b)} - {"center"} for a, b in self.edges]
        return tuple(sides.pop() if len(sides) == 1 else "center" for sides in reached)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The (left, right) indices of the joints that stand on both sides, in the order of the left ones."""
        return tuple(
            (j, self.joints.index(counterpart))
            for j, joint in enumerate(self.joints)
            if joint.startswith("left_") and (counterpart := joint.replace("left", "right", 1)) in self.joints
        )

    @property
    def mirror(self) -> npt.NDArray[np.intp]:
        """The permutation [V] that swaps left and right; a joint without a counterpart stays where it is.

        Examples
        --------
        >>> keypoint = np.zeros((2, 90, 17, 2))
        >>> keypoint[:, :, coco.mirror].shape  # with x turned round as well, people in a mirror
        (2, 90, 17, 2)
        """
        mirror = np.arange(self.V)
        for left, right in self.pairs:
            mirror[[left, right]] = right, left
        return mirror


def nearest_of(name: str, known: Sequence[str]) -> str:
    """Give the known names that are most like `name`, for the end of an error's sentence."""
    close = difflib.get_close_matches(name, known, cutoff=0.5)
    return f"nearest: {', '.join(close)}" if close else f"known: {', '.join(known)}"


# Roots and edges are those of PYSKL's graphs for coco, openpose and nturgb+d. Added for the eye, to close the
# trunk: the hip line of coco and openpose, the shoulder line of coco.
_LIMBS = (
    "left_shoulder-left_elbow-left_wrist right_shoulder-right_elbow-right_wrist "
    "left_hip-left_knee-left_ankle right_hip-right_knee-right_ankle "
)
_TRUNK = "left_shoulder-left_hip-right_hip-right_shoulder "
_FACE = "left_ear-left_eye-nose-right_eye-right_ear "

coco = Layout(
    "coco",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    _LIMBS + _TRUNK + _FACE + "nose-left_shoulder-right_shoulder-nose",
    root="nose",
)
openpose = Layout(
    "openpose",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear",
    _LIMBS + _TRUNK + _FACE + "left_shoulder-neck-right_shoulder neck-nose",
    root="neck",
)
nturgbd = Layout(
    "nturgb+d",
    "spine_base spine_mid neck head left_shoulder left_elbow left_wrist left_hand "
    "right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot "
    "right_hip right_knee right_ankle right_foot spine_shoulder "
    "left_hand_tip left_thumb right_hand_tip right_thumb",
    _LIMBS + "spine_base-spine_mid-spine_shoulder-neck-head left_shoulder-spine_shoulder-right_shoulder "
    "left_wrist-left_hand-left_hand_tip left_hand-left_thumb "
    "right_wrist-right_hand-right_hand_tip right_hand-right_thumb "
    "left_hip-spine_base-right_hip left_ankle-left_foot right_ankle-right_foot",
    root="spine_shoulder",
)
handmp = Layout(
    "handmp",
    "wrist thumb_cmc thumb_mcp thumb_ip thumb_tip index_mcp index_pip index_dip index_tip "
    "middle_mcp middle_pip middle_dip middle_tip ring_mcp ring_pip ring_dip ring_tip "
    "pinky_mcp pinky_pip pinky_dip pinky_tip",
    "wrist-thumb_cmc-thumb_mcp-thumb_ip-thumb_tip wrist-index_mcp-index_pip-index_dip-index_tip "
    "wrist-middle_mcp-middle_pip-middle_dip-middle_tip wrist-ring_mcp-ring_pip-ring_dip-ring_tip "
    "wrist-pinky_mcp-pinky_pip-pinky_dip-pinky_tip",
    root="wrist",
)

_BUILT_IN = {layout.name: layout for layout in (coco, openpose, nturgbd, handmp)}

# (V, C) -> the layout and why. 25 joints in pixels stay open: a picture with the wrong bones is worse than a
# question.
_GUESSES: dict[tuple[int, int], tuple[Layout | None, str]] = {
    (17, 2): (coco, "17 joints in a picture are COCO's"),
    (17, 3): (coco, "17 joints of x, y and score are COCO's; in space they may be Human3.6M's"),
    (18, 2): (openpose, "18 joints in a picture are OpenPose's"),
    (18, 3): (openpose, "18 joints of x, y and score are OpenPose's"),
    (21, 2): (handmp, "21 joints in a picture are those of a hand"),
    (21, 3): (handmp, "21 joints of three values are those of a hand"),
    (25, 2): (None, "25 joints in pixels may be nturgb+d's, or OpenPose BODY_25's in another order"),
    (25, 3): (nturgbd, "25 joints in space are NTU RGB+D's"),
}


def names() -> tuple[str, ...]:
    """Give the names of the built-in layouts.

    Examples
    --------
    >>> names()
    ('coco', 'openpose', 'nturgb+d', 'handmp')
    """
    return tuple(_BUILT_IN)


def get(layout: str | Layout) -> Layout:
    """Give the built-in layout of that name; a :class:`Layout` comes back as it is.

    Raises
    ------
    ValueError
        No built-in layout has that name.
    TypeError
        It is neither a name nor a layout.

    Examples
    --------
    >>> get("nturgb+d").V
    25
    """
    if isinstance(layout, Layout):
        return layout
    if not isinstance(layout, str):
        raise TypeError(f"expected a layout or its name, found {type(layout).__name__}; see layouts.names()")
    if layout not in _BUILT_IN:
        nearest = nearest_of(layout, names())
        raise ValueError(f"no layout is named {layout!r} ({nearest}); make your own with layouts.Layout")
    return _BUILT_IN[layout]


def guess(V: int, C: int) -> Layout | None:
    """Guess the layout of a clip from its V and C; None when nothing fits, or more than one thing.

    C is 2 for pixels, 3 for metres, and 3 as well for the (x, y, score) of kpfiles. `guess_reason` says why.

    Examples
    --------
    >>> guess(17, 2)
    <Layout 'coco': 17 joints, 18 edges, root nose>
    >>> guess(25, 2) is None
    True
    """
    return _GUESSES.get((V, C), (None, ""))[0]


def guess_reason(V: int, C: int) -> str:
    """Say why `guess` answers as it does, in a clause that can stand in a sentence.

    Examples
    --------
    >>> guess_reason(25, 3)
    "25 joints in space are NTU RGB+D's"
    >>> guess_reason(33, 3)
    'no known layout has 33 joints of 3 values'
    """
    return _GUESSES.get((V, C), (None, f"no known layout has {V} joints of {C} values"))[1]
