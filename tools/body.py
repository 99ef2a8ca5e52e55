"""One articulated human body, the pose it takes, and the camera that sees it.

The miniatures are made of nothing but this: a body with fixed bone lengths takes a pose in every frame (the poses
come from `motions.py`), stands somewhere in a room, and is seen by a pinhole camera. The 3D joints and the 2D joints
of a clip are therefore two views of the same motion.

Three right-handed or picture-like frames of reference are used, all in metres:

- *body*: x to the body's own left, y up from the floor, z forward;
- *room*: x to the right of the picture, y up from the floor, z towards the camera, so a body that does not turn
  faces the camera, with its left hand at larger x;
- *camera*: x to the right of the picture, y up, z away from the camera (the space of NTU RGB+D's 3D files).

What belongs to one side of the body is written ``(out, up, forward)``: `out` points away from the body's middle, so
one number serves the left arm and the right one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEFT, RIGHT = 0, 1
SIDES = ("left", "right")
OUT = np.array([1.0, -1.0])  # body x of one step outwards, by side

# Lengths in metres of a body 1.75 m tall; a performer's own size scales them.
NOMINAL_HEIGHT = 1.75
UPPER_ARM, FOREARM, HAND, HAND_TIP, THUMB = 0.29, 0.25, 0.08, 0.08, 0.055
ARM = UPPER_ARM + FOREARM
THIGH, SHANK, ANKLE_HEIGHT, FOOT = 0.42, 0.42, 0.075, 0.145
LEG = THIGH + SHANK
STANDING = ANKLE_HEIGHT + 0.99 * LEG  # of the hips above the floor
HALF_HIPS, HALF_SHOULDERS = 0.095, 0.175
LOWER_SPINE, UPPER_SPINE, NECK, HEAD = 0.25, 0.24, 0.075, 0.125
FACE = {  # from the middle of the head: to the left, up, forward
    "nose": (0.0, -0.025, 0.105),
    "left_eye": (0.033, 0.012, 0.088),
    "right_eye": (-0.033, 0.012, 0.088),
    "left_ear": (0.077, -0.005, 0.005),
    "right_ear": (-0.077, -0.005, 0.005),
}


def ease(u: Array) -> Array:
    """From 0 to 1 as a hand moves: with no speed and no acceleration at either end; constant outside of 0…1."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10 - 15 * u + 6 * u**2)


def keyed(t: Array, *keys: tuple[float, object]) -> Array:
    """Values that rest at each key ``(time, value)`` and ease from one to the next.

    >>> keyed(np.array([0.0, 1.0, 1.5, 2.0, 9.0]), (1, 10.0), (2, 20.0)).tolist()
    [10.0, 10.0, 15.0, 20.0, 20.0]
    """
    times = [time for time, _ in keys]
    values = [np.asarray(value, dtype=np.float64) for _, value in keys]
    track = np.broadcast_to(values[0], (len(t), *values[0].shape)).copy()
    for start, end, before, after in zip(times, times[1:], values, values[1:], strict=False):
        share = ease((t - start) / (end - start))
        track += share.reshape(-1, *[1] * before.ndim) * (after - before)
    return track


def smoothed(track: Array, frames: float) -> Array:
    """A track [T, ...] under a Gaussian of so many frames; its ends are held."""
    reach = int(np.ceil(3 * frames))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    held = np.concatenate([track[:1]] * reach + [track] + [track[-1:]] * reach)
    windows = np.lib.stride_tricks.sliding_window_view(held, len(weights), axis=0)
    return windows @ (weights / weights.sum())


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] brought to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def turned(angles: Array) -> Array:
    """Rotations [..., 3, 3] from angles [..., 3] in radians: to one's left, forward, and sideways to one's right."""
    (sy, sx, sz), (cy, cx, cz) = np.moveaxis(np.sin(angles), -1, 0), np.moveaxis(np.cos(angles), -1, 0)
    zero, one = np.zeros_like(sy), np.ones_like(sy)

    def matrix(*rows: Array) -> Array:
        return np.stack(rows, axis=-1).reshape(*sy.shape, 3, 3)

    about_y = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    about_x = matrix(one, zero, zero, zero, cx, -sx, zero, sx, cx)
    about_z = matrix(cz, -sz, zero, sz, cz, zero, zero, zero, one)
    return about_y @ about_x @ about_z


def bend(reach: Array, towards: Array, upper: float, lower: float) -> tuple[Array, Array]:
    """Directions of two bones that together span `reach` [..., 3], the joint between them pointing `towards`.

    What is too far is reached for with a limb that is all but straight.
    """
    least, most = abs(upper - lower) + 0.05, 0.999 * (upper + lower)
    distance = np.clip(np.linalg.norm(reach, axis=-1, keepdims=True), least, most)
    along = unit(reach)
    aside = unit(towards - (towards * along).sum(axis=-1, keepdims=True) * along)
    ahead = (upper**2 - lower**2 + distance**2) / (2 * distance)
    middle = along * ahead + aside * np.sqrt(upper**2 - ahead**2)
    return middle / upper, (along * distance - middle) / lower


@dataclass(frozen=True)
class Performer:
    """Who moves: a size, and habits that make two people do the same thing differently."""

    height: float  # m
    build: float  # width of shoulders and hips, 1 for average
    limbs: float  # length of arms and legs for the height, 1 for average
    tempo: float  # 1 for average, more is faster
    gusto: float  # size of gestures, 1 for average
    side: int  # the preferred hand and foot, LEFT or RIGHT

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Performer:
        """A performer by chance; four out of five prefer the right side."""
        return cls(
            height=float(np.clip(rng.normal(1.72, 0.08), 1.55, 1.92)),
            build=float(rng.uniform(0.92, 1.1)),
            limbs=float(rng.uniform(0.97, 1.03)),
            tempo=float(rng.uniform(0.9, 1.12)),
            gusto=float(rng.uniform(0.9, 1.1)),
            side=RIGHT if rng.random() < 0.8 else LEFT,
        )


@dataclass
class Pose:
    """What a body does in each of T frames, for a body of nominal size; starts as standing at ease.

    Attributes
    ----------
    hips : ndarray, shape (T, 3)
        Middle of the hips in the room of the body, in metres; the height is a wish that the legs may lower.
    turn, bow, gaze : ndarray, shape (T, 3)
        Angles in radians (to the left, forward, to the right) of the hips in the room, of the chest on the hips, and
        of the head on the chest.
    upper, fore : ndarray, shape (2, T, 3)
        Directions (out, up, forward) of the upper arms and forearms, seen from the chest.
    ball : ndarray, shape (2, T, 3)
        Balls of the feet, (out, up, forward) in metres.
    heel, toes_out : ndarray, shape (2, T)
        Angles in radians by which the heels are raised and the feet turned outwards.
    """

    frames: int
    hips: Array = field(init=False)
    turn: Array = field(init=False)
    bow: Array = field(init=False)
    gaze: Array = field(init=False)
    upper: Array = field(init=False)
    fore: Array = field(init=False)
    ball: Array = field(init=False)
    heel: Array = field(init=False)
    toes_out: Array = field(init=False)

    def __post_init__(self) -> None:
        def everywhere(*value: float, sides: int = 0) -> Array:
            shape = (sides, self.frames, 3) if sides else (self.frames, 3)
            return np.broadcast_to(np.array(value), shape).copy()

        self.hips = everywhere(0.0, STANDING, 0.0)
        self.turn = everywhere(0.0, 0.0, 0.0)
        self.bow = everywhere(0.0, 0.03, 0.0)
        self.gaze = everywhere(0.0, 0.02, 0.0)
        self.upper = everywhere(0.12, -1.0, -0.02, sides=2)
        self.fore = everywhere(0.04, -1.0, 0.24, sides=2)
        self.ball = everywhere(0.12, 0.0, 0.09, sides=2)
        self.heel = np.zeros((2, self.frames))
        self.toes_out = np.full((2, self.frames), 0.18)


def articulate(pose: Pose, performer: Performer) -> dict[str, Array]:
    """Joints of a body that takes a pose, by name, each [T, 3] in metres, in the frame of the body.

    The names are those of the 25 Kinect joints and of the five points of the face.
    """
    half_hips, half_shoulders = HALF_HIPS * performer.build, HALF_SHOULDERS * performer.build
    limbs = performer.limbs
    joints: dict[str, Array] = {}

    pelvis = turned(pose.turn)
    ankles = [_ankle(pose, side) for side in (LEFT, RIGHT)]
    hips = pose.hips.copy()
    hips[:, 1] = smoothed(np.minimum(hips[:, 1], _reachable(hips, pelvis, ankles, half_hips, limbs)), 1.2)
    for side, name in enumerate(SIDES):
        hip = hips + pelvis @ np.array([OUT[side] * half_hips, 0.0, 0.0])
        ankle, foot = ankles[side]
        reach = ankle - hip
        # A knee is a hinge across the body: it gives way forward of a hanging leg, and upward of a raised one.
        across = pelvis[:, :, 0] + 0.25 * OUT[side] * pelvis[:, :, 2]
        thigh, shank = bend(reach, np.cross(unit(reach), across), THIGH * limbs, SHANK * limbs)
        joints[f"{name}_hip"] = hip
        joints[f"{name}_knee"] = hip + thigh * THIGH * limbs
        joints[f"{name}_ankle"] = joints[f"{name}_knee"] + shank * SHANK * limbs
        joints[f"{name}_foot"] = joints[f"{name}_ankle"] + foot @ np.array([0.0, 0.03 - ANKLE_HEIGHT, FOOT])

    chest = pelvis @ turned(pose.bow)
    waist = pelvis @ turned(pose.bow / 2)
    head = chest @ turned(pose.gaze)
    up = np.array([0.0, 1.0, 0.0])
    joints["spine_base"] = hips + pelvis @ (0.02 * up)
    joints["spine_mid"] = joints["spine_base"] + waist @ (LOWER_SPINE * up)
    joints["spine_shoulder"] = joints["spine_mid"] + chest @ (UPPER_SPINE * up)
    joints["neck"] = joints["spine_shoulder"] + chest @ (NECK * up)
    joints["head"] = joints["neck"] + head @ np.array([0.0, HEAD, 0.025])
    for name, offset in FACE.items():
        joints[name] = joints["head"] + head @ np.array(offset)

    for side, name in enumerate(SIDES):
        mirror = np.array([OUT[side], 1.0, 1.0])
        upper, fore = unit(pose.upper[side]), unit(pose.fore[side])
        # The shoulder follows a raised arm: up and a little forward, on a collar-bone of fixed length.
        collar = unit(np.stack([np.ones(pose.frames), 0.32 * upper[:, 1] + 0.1, 0.25 * upper[:, 2]], axis=-1))
        # A hand turns back to the front from a forearm that points inward.
        hand = unit(np.where(fore < 0, fore * [0.4, 1.0, 1.0], fore) + np.array([-0.04, 0.0, 0.12]))
        thumb = unit(np.array([-0.5, 0.55, 0.75]) + 0.4 * hand)
        bones = (collar, upper, fore, hand, hand, thumb)
        across, down, lower, palm, tip, spread = (np.einsum("tij,tj->ti", chest, bone * mirror) for bone in bones)
        joints[f"{name}_shoulder"] = joints["spine_shoulder"] + across * half_shoulders - chest @ (0.01 * up)
        joints[f"{name}_elbow"] = joints[f"{name}_shoulder"] + down * UPPER_ARM * limbs
        joints[f"{name}_wrist"] = joints[f"{name}_elbow"] + lower * FOREARM * limbs
        joints[f"{name}_hand"] = joints[f"{name}_wrist"] + palm * HAND
        joints[f"{name}_hand_tip"] = joints[f"{name}_hand"] + tip * HAND_TIP
        joints[f"{name}_thumb"] = joints[f"{name}_wrist"] + palm * HAND / 2 + spread * THUMB

    scale = performer.height / NOMINAL_HEIGHT
    return {name: track * scale for name, track in joints.items()}


def _ankle(pose: Pose, side: int) -> tuple[Array, Array]:
    """An ankle [T, 3] that stands on the ball of its foot, and the foot's rotation [T, 3, 3]."""
    mirror = np.array([OUT[side], 1.0, 1.0])
    zero = np.zeros(pose.frames)
    foot = turned(np.stack([OUT[side] * pose.toes_out[side], pose.heel[side], zero], axis=-1))
    return pose.ball[side] * mirror + foot @ np.array([0.0, ANKLE_HEIGHT, -FOOT]), foot


def _reachable(hips: Array, pelvis: Array, ankles: list[tuple[Array, Array]], half_hips: float, limbs: float) -> Array:
    """Greatest height [T] of the hips at which both legs, all but straight, still reach their ankles."""
    heights = []
    for side, (ankle, _) in enumerate(ankles):
        offset = pelvis @ np.array([OUT[side] * half_hips, 0.0, 0.0])
        away = np.linalg.norm((ankle - hips - offset)[:, [0, 2]], axis=-1)
        length = 0.99 * LEG * limbs
        heights.append(ankle[:, 1] - offset[:, 1] + np.sqrt(np.maximum(length**2 - away**2, 0.04)))
    return np.minimum(*heights)


def place(joints: dict[str, Array], x: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> dict[str, Array]:
    """Joints of a body moved into the room: standing at (x, z) in metres, turned to its left by `yaw` radians."""
    rotation = turned(np.array([yaw, 0.0, 0.0]))
    return {name: track @ rotation.T + np.array([x, 0.0, z]) for name, track in joints.items()}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at the middle of the room.

    `bearing` is the angle in radians by which it stands to the right of the middle, `tilt` the one by which it looks
    down; lengths are metres, the focal length and the picture's height and width are pixels.
    """

    focal: float
    shape: tuple[int, int]
    distance: float
    height: float
    bearing: float = 0.0
    tilt: float = 0.0

    def see(self, points: Array) -> Array:
        """Points [..., 3] of the room in the camera's own space."""
        bearing = turned(np.array([-self.bearing, 0.0, 0.0]))
        tilt = turned(np.array([0.0, self.tilt, 0.0]))
        away = (points @ bearing.T - np.array([0.0, self.height, self.distance])) @ tilt.T
        return away * np.array([1.0, 1.0, -1.0])

    def project(self, seen: Array) -> Array:
        """Pixels [..., 2] (x to the right, y down, from the upper left corner) of points in the camera's space."""
        height, width = self.shape
        x, y, z = np.moveaxis(seen, -1, 0)
        return np.stack([width / 2 + self.focal * x / z, height / 2 - self.focal * y / z], axis=-1)
