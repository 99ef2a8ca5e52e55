"""Write the bundled miniatures: small files in the true form of the official ones, with synthetic motion.

Run ``python tools/make_miniatures.py`` from a checkout; it rewrites `pysklnb/data/miniatures/`. Every clip is seeded
by its own id, so adding one changes no other. A new data set is one function here and one entry in `MAKERS`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import body
import motions
import numpy as np
from body import Array, Camera, Performer
from numpy.typing import NDArray

from pysklnb import layouts, writer

Mask = NDArray[np.bool_]

FOLDER = Path(__file__).resolve().parents[1] / "pysklnb" / "data" / "miniatures"
FPS = 30
README = """Miniatures of public skeleton data sets
=======================================

The motion in these files is synthetic: one articulated body, moved by formulas, seen by a simulated camera.
There is no recording of a real person in them, and no data of the data sets whose form they have.
Ids, labels, split names, keys, types and the odd facts are those of the real files, so that code that
works on a miniature works on the real file. Nothing can be learned from them about people.

Made by tools/make_miniatures.py; run it again instead of editing them.
"""


def generator(key: str) -> np.random.Generator:
    """A random generator that depends on nothing but the key."""
    return np.random.default_rng(zlib.crc32(key.encode()))


# ---------------------------------------------------------------------------------------------------------------
# From people in a room to what a sensor or a detector finds


@dataclass(frozen=True)
class Role:
    """One person of a scene: what they do, where they stand (m) and how far they turn to their left (radians)."""

    motion: motions.Motion
    x: float = 0.0
    z: float = 0.0
    yaw: float = 0.0


def enact(
    roles: Iterable[Role], performers: Iterable[str], frames: int, rng: np.random.Generator
) -> list[dict[str, Array]]:
    """Joints of everyone in the room, by name, each [T, 3] in metres. The same name is always the same performer."""
    t = np.arange(frames) / FPS
    people = []
    for role, name in zip(roles, performers, strict=True):
        performer = Performer.draw(generator(name))
        joints = body.articulate(role.motion(performer, t, rng), performer)
        people.append(body.place(joints, role.x, role.z, role.yaw))
    return people


def seen_by(camera: Camera, joints: dict[str, Array], layout: layouts.Layout) -> Array:
    """Joints [T, V, 3] of a layout in the camera's space, in metres."""
    return camera.see(np.stack([joints[name] for name in layout.joints], axis=1))


def wobble(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Measurement noise [T, ...] of size 1: half of it is new in every frame, half wanders."""
    white, slow = rng.normal(size=(2, *shape))
    return 0.5 * white + 1.4 * body.smoothed(slow, 2.5)


def hidden(seen: Array, layout: layouts.Layout) -> Array:
    """How far each joint [T, V] is hidden behind its partner of the other side: 0 (in sight) to 1."""
    share = np.zeros(seen.shape[:2])
    for pair in layout.pairs:
        for joint, partner in (pair, pair[::-1]):
            behind, aside = seen[:, joint, 2] - seen[:, partner, 2], seen[:, joint, :2] - seen[:, partner, :2]
            near = np.exp(-((np.linalg.norm(aside, axis=-1) / 0.14) ** 2))
            share[:, joint] = near * body.ease((behind - 0.03) / 0.2)
    return share


def detect(seen: Array, camera: Camera, rng: np.random.Generator, lost: float = 1) -> tuple[Array, Array]:
    """What a detector makes of joints [T, 17, 3]: pixels [T, 17, 2] and scores [T, 17].

    The error grows with the person's size in the picture. Now and then a wrist, an ankle or an ear is not found for a
    few frames, `lost` times on average: then its coordinates and its score are zero.
    """
    pixels = camera.project(seen)
    size = np.ptp(pixels[..., 1], axis=1)[:, None]
    behind = hidden(seen, layouts.coco)
    pixels = pixels + (0.0035 * size * (1 + 2.5 * behind))[..., None] * wobble(pixels.shape, rng)
    usual = np.array([0.93 if re.search("wrist|ankle|ear", name) else 0.965 for name in layouts.coco.joints])
    scores = usual + 0.02 * wobble(behind.shape, rng) - 0.4 * behind
    scores = np.clip(scores, 0.15, 1.02)
    losable = [joint for joint, name in enumerate(layouts.coco.joints) if re.search("wrist|ankle|ear", name)]
    for _ in range(rng.poisson(lost)):
        start, joint = rng.integers(len(seen)), rng.choice(losable)
        gone = slice(start, start + rng.integers(1, 5))
        pixels[gone, joint], scores[gone, joint] = 0.0, 0.0
    return pixels, scores


def record_2d(frame_dir: str, label: int, shape: tuple[int, int], keypoint: Array, score: Array) -> dict[str, Any]:
    """An annotation in the documented form, its keys in the order of the official 2D files."""
    return {
        "frame_dir": frame_dir,
        "label": label,
        "img_shape": shape,
        "original_shape": shape,
        "total_frames": keypoint.shape[1],
        "keypoint": keypoint.astype(np.float16),
        "keypoint_score": score.astype(np.float16),
    }


# ---------------------------------------------------------------------------------------------------------------
# NTU RGB+D

NTU_SHAPE = (1080, 1920)
# fmt: off
NTU_TRAIN_PERFORMERS = frozenset({
    1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78,
    *range(80, 87), 89, 91, 92, 93, 94, 95, 97, 98, 100, 103,
})
# fmt: on


def _face_to_face(left: motions.Motion, right: motions.Motion, apart: float) -> list[Role]:
    return [Role(left, x=-apart / 2, yaw=np.pi / 2), Role(right, x=apart / 2, yaw=-np.pi / 2)]


NTU_SCENES: dict[int, list[Role]] = {  # by label, which is the number of the action less 1
    7: [Role(motions.sit_down)],
    8: [Role(motions.stand_up)],
    9: [Role(motions.clap)],
    22: [Role(motions.wave)],
    23: [Role(motions.kick)],
    26: [Role(motions.jump)],
    49: _face_to_face(motions.punch, motions.take_punch, apart=0.95),
    58: _face_to_face(motions.walker(stride=1.0, distance=0.7), motions.walker(stride=1.05, distance=0.7), apart=2.3),
}
# Performers 1, 2, 4, 5, 8 train in cross-subject, 3, 6, 7 validate; camera 1 validates in cross-view.
NTU_TAKES = {
    (7, 9, 49, 58): ("C001P002R001", "C001P006R001", "C002P001R001", "C003P003R002", "C003P004R002"),
    (8, 22, 23, 26): ("C001P001R002", "C001P003R001", "C002P004R001", "C002P005R002", "C003P007R002"),
}
NTU60_IDS = tuple(
    sorted(f"S001{take}A{label + 1:03}" for labels, takes in NTU_TAKES.items() for label in labels for take in takes)
)
# What is odd in single clips: frames with nobody in sight, the frame in which the second person arrives, and a second
# body that the 3D file has although nobody was there.
NTU_NOBODY = {"S001C003P007R002A023": slice(19, 22), "S001C002P005R002A024": slice(0, 2)}
NTU_LATE = {"S001C003P004R002A059": 11, "S001C001P002R001A059": 7}
NTU_PADDED = frozenset({"S001C002P001R001A010"})


@dataclass(frozen=True)
class NtuTake:
    """One take: for each person the joints in 2D (pixels and scores) and in 3D, and the frames they are in sight."""

    label: int
    pixels: Array  # [M, T, 17, 2]
    scores: Array  # [M, T, 17]
    metres: Array  # [M, T, 25, 3]
    present: Mask  # [M, T]


def ntu_fields(frame_dir: str) -> dict[str, int]:
    """Setup, camera, performer, replication and action of a name ``SsssCcccPpppRrrrAaaa``, by their letters."""
    return {letter: int(number) for letter, number in re.findall(r"([SCPRA])(\d{3})", frame_dir)}


@cache
def ntu_take(frame_dir: str) -> NtuTake:
    """Film one take. The cameras of one performance film the same motion, from 45 degrees apart."""
    fields = ntu_fields(frame_dir)
    performance = generator(re.sub(r"C\d{3}", "", frame_dir))
    frames = int(performance.integers(40, 49))
    label = fields["A"] - 1
    names = [f"P{fields['P']:03}", f"partner of P{fields['P']:03}"]
    roles = NTU_SCENES[label]
    people = enact(roles, names[: len(roles)], frames, performance)

    # Who performs faces camera 2 in the first replication, camera 3 in the second; camera 1 stands between them.
    faced = 2 if fields["R"] == 1 else 3
    quarter = {2: 0, 1: 1, 3: 2}[fields["C"]] - {2: 0, 3: 2}[faced]
    bearing = np.pi / 4 * quarter + performance.normal(0, 0.1)
    camera = Camera(focal=1060.0, shape=NTU_SHAPE, distance=3.3, height=1.25, bearing=bearing, tilt=0.08)

    rng = generator(frame_dir)
    found = [detect(seen_by(camera, joints, layouts.coco), camera, rng) for joints in people]
    metres = np.stack([seen_by(camera, joints, layouts.nturgbd) for joints in people])
    metres += 0.003 * np.stack([wobble(person.shape, rng) for person in metres])
    present = np.ones((len(people), frames), dtype=np.bool_)
    present[:, NTU_NOBODY.get(frame_dir, slice(0, 0))] = False
    present[1:, : NTU_LATE.get(frame_dir, 0)] = False
    pixels, scores = (np.stack(part) for part in zip(*found, strict=True))
    pixels[~present], scores[~present], metres[~present] = 0.0, 0.0, 0.0
    return NtuTake(label, pixels, scores, metres, present)


def ntu60_splits(ids: Iterable[str]) -> dict[str, list[str]]:
    """The official cross-subject and cross-view splits."""
    splits: dict[str, list[str]] = {name: [] for name in ("xsub_train", "xsub_val", "xview_train", "xview_val")}
    for frame_dir in ids:
        fields = ntu_fields(frame_dir)
        splits["xsub_train" if fields["P"] in NTU_TRAIN_PERFORMERS else "xsub_val"].append(frame_dir)
        splits["xview_train" if fields["C"] != 1 else "xview_val"].append(frame_dir)
    return splits


def ntu60_hrnet() -> dict[str, Any]:
    """NTU RGB+D 60 in 2D, as a detector sees it."""
    takes = {frame_dir: ntu_take(frame_dir) for frame_dir in NTU60_IDS}
    annotations = [record_2d(key, take.label, NTU_SHAPE, take.pixels, take.scores) for key, take in takes.items()]
    return {"split": ntu60_splits(takes), "annotations": annotations}


def ntu60_3danno() -> dict[str, Any]:
    """NTU RGB+D 60 in 3D, as the depth sensor sees it: four keys, and no frame without anybody."""
    annotations = []
    for frame_dir in NTU60_IDS:
        take = ntu_take(frame_dir)
        metres = take.metres[:, take.present.any(axis=0)]
        if frame_dir in NTU_PADDED:
            metres = np.concatenate([metres, np.zeros_like(metres)])
        keypoint = metres.astype(np.float16)
        annotations.append(
            {"frame_dir": frame_dir, "label": take.label, "keypoint": keypoint, "total_frames": keypoint.shape[1]}
        )
    return {"split": ntu60_splits(NTU60_IDS), "annotations": annotations}


# ---------------------------------------------------------------------------------------------------------------
# Videos from the web: UCF101 and Kinetics-400

Scene = Callable[[np.random.Generator], list[Role]]


def alone(motion: motions.Motion, yaw: float = 0.5) -> Scene:
    """One person, turned up to `yaw` radians to either side."""
    return lambda rng: [Role(motion, rng.uniform(-0.5, 0.5), rng.uniform(-1, 0.5), rng.uniform(-yaw, yaw))]


def side_by_side(motion: motions.Motion, most: int) -> Scene:
    """One to `most` people who do the same thing next to each other."""

    def scene(rng: np.random.Generator) -> list[Role]:
        number = int(rng.integers(1, most + 1))
        places = 1.5 * (np.arange(number) - (number - 1) / 2)
        return [Role(motion, x, rng.uniform(-0.8, 0.3), rng.uniform(-0.3, 0.3)) for x in places]

    return scene


def parade(rng: np.random.Generator, columns: int = 4, ranks: int = 3) -> list[Role]:
    """A band in columns and ranks that marches past the camera."""
    yaw = rng.choice((-1, 1)) * rng.uniform(0.15, 0.6)
    march = motions.walker(stride=1.1, cadence=0.95, knees=0.1, swing=0.8)
    heading, aside = np.array([np.sin(yaw), np.cos(yaw)]), np.array([np.cos(yaw), -np.sin(yaw)])
    places = [
        1.1 * (column - (columns - 1) / 2) * aside + (-1.0 - 1.5 * rank) * heading + rng.normal(0, 0.08, 2)
        for rank in range(ranks)
        for column in range(columns)
    ]
    return [Role(march, x, z, yaw) for x, z in places]


def bout(rng: np.random.Generator) -> list[Role]:
    """Two boxers, and mostly a referee behind them."""
    boxers = _face_to_face(motions.box, motions.box, apart=rng.uniform(1.1, 1.4))
    referee = Role(motions.stand, rng.uniform(-0.4, 0.4), -1.6, rng.uniform(-0.2, 0.2))
    return boxers + [referee] * int(rng.random() < 0.7)


def stroll(rng: np.random.Generator) -> list[Role]:
    """Somebody who walks across the picture; sometimes another one comes the other way."""
    way = rng.choice((-1, 1))
    walk = motions.walker(swing=0.7)
    first = Role(walk, -way * rng.uniform(1.2, 1.8), rng.uniform(-0.5, 0.5), way * rng.uniform(1.1, 1.6))
    other = Role(walk, way * 2.4, -1.5, -way * 1.5)
    return [first] + [other] * int(rng.random() < 0.4)


def film(frame_dir: str, roles: list[Role], shape: tuple[int, int], frames: int) -> tuple[Array, Array, Mask]:
    """Pixels [P, T, 17, 2], scores [P, T, 17] and presence [P, T] of P people in a video of the web."""
    rng = generator(frame_dir)
    people = enact(roles, [f"{frame_dir}, person {number}" for number in range(len(roles))], frames, rng)
    distance = rng.uniform(3.7, 4.5) + 0.2 * min(len(roles), 8)
    height = rng.uniform(1.2, 1.6)
    tilt = np.arctan2(height - 0.95, distance)
    camera = Camera(1.5 * min(shape), shape, distance, height, bearing=rng.normal(0, 0.05), tilt=tilt)
    found = [detect(seen_by(camera, joints, layouts.coco), camera, rng) for joints in people]
    pixels, scores = (np.stack(part) for part in zip(*found, strict=True))
    middle = pixels[:, :, 5:13].mean(axis=2)
    # Who is half out of the picture is not found, and one in fifty is overlooked.
    in_picture = ((middle > 0) & (middle < np.array(shape[::-1]))).all(axis=-1)
    return pixels, scores, in_picture & (rng.random(in_picture.shape) > 0.02)


UCF_SHAPE = (256, 340)
UCF_CLASSES: dict[str, tuple[int, Scene, tuple[int, int]]] = {  # name: label, scene, least and most frames
    "BandMarching": (5, parade, (12, 18)),
    "BodyWeightSquats": (14, alone(motions.squat, yaw=1.2), (36, 50)),
    "BoxingPunchingBag": (16, alone(motions.box, yaw=1.3), (30, 42)),
    "JumpingJack": (46, side_by_side(motions.jumping_jack, most=3), (28, 38)),
    "Punch": (70, bout, (26, 36)),
    "WalkingWithDog": (97, stroll, (28, 40)),
}
UCF_TAKES = ("g01_c01", "g04_c02", "g10_c01", "g17_c03", "g23_c01")  # tested in folds 1, 1, 2, 3, and never
UCF101_IDS = tuple(f"v_{name}_{take}" for name in UCF_CLASSES for take in UCF_TAKES)
UCF_CROWD = "v_BandMarching_g17_c03"
UCF_SHORT = "v_BoxingPunchingBag_g23_c01"
UCF_EMPTY = "v_WalkingWithDog_g23_c01"


def by_rank(tracks: Array, present: Mask) -> Array:
    """Tracks [P, T, ...] put into slots [M, T, ...]: in every frame the people in sight, from slot 0 on."""
    slots = np.zeros((int(present.sum(axis=0).max(initial=0)), *tracks.shape[1:]))
    for frame, here in enumerate(present.T):
        slots[: here.sum(), frame] = tracks[here, frame]
    return slots


def ucf101_clip(frame_dir: str) -> dict[str, Any]:
    """One clip of UCF101: slots hold whoever was found, frame by frame."""
    label, scene, (least, most) = UCF_CLASSES[frame_dir.split("_")[1]]
    rng = generator(f"scene of {frame_dir}")
    frames, roles = int(rng.integers(least, most + 1)), scene(rng)
    if frame_dir == UCF_CROWD:
        frames, roles = 6, parade(rng, columns=6, ranks=5)
    elif frame_dir == UCF_SHORT:
        frames = 4
    pixels, scores, present = film(frame_dir, roles, UCF_SHAPE, frames)
    if frame_dir == UCF_CROWD:
        present[:, -1] = True
    elif frame_dir == UCF_EMPTY:
        present[:] = False
    return record_2d(frame_dir, label, UCF_SHAPE, by_rank(pixels, present), by_rank(scores, present))


def ucf101_splits(ids: Iterable[str]) -> dict[str, list[str]]:
    """The official three folds: groups 1-7 are tested in the first, 8-14 in the second, 15-21 in the third."""
    splits: dict[str, list[str]] = {f"{part}{fold}": [] for part in ("train", "test") for fold in (1, 2, 3)}
    for frame_dir in ids:
        group = int(frame_dir.split("_")[2][1:])
        for fold in (1, 2, 3):
            splits[f"{'test' if (group + 6) // 7 == fold else 'train'}{fold}"].append(frame_dir)
    return splits


def ucf101_hrnet() -> dict[str, Any]:
    """UCF101 in 2D: many people, and now and then nobody."""
    return {"split": ucf101_splits(UCF101_IDS), "annotations": [ucf101_clip(frame_dir) for frame_dir in UCF101_IDS]}


@dataclass(frozen=True)
class K400Video:
    """A video of Kinetics-400: its label, its scene, and how many frames the video has."""

    label: int
    scene: Scene
    frames: int
    split: str
    shape: tuple[int, int] = (256, 340)


K400_CLAP, K400_SQUAT = side_by_side(motions.clap, most=3), alone(motions.squat, yaw=1.2)
K400_VIDEOS = {
    "-3Zq0fYw8kM": K400Video(57, K400_CLAP, 120, "train"),
    "0aVQkzT2m_E": K400Video(57, K400_CLAP, 150, "val", (256, 454)),
    "1pXw6bHs-Rc": K400Video(100, alone(motions.drink), 96, "train"),
    "Kd9_tLm4UyA": K400Video(100, alone(motions.drink), 80, "val", (454, 256)),
    "Kd9_tLm4Uya": K400Video(175, alone(motions.kick, yaw=1.3), 72, "train"),
    "NQe7s5JhB0g": K400Video(175, alone(motions.kick, yaw=1.3), 61, "val"),
    "PvR2nXc3iWo": K400Video(192, lambda rng: parade(rng, columns=4, ranks=3), 60, "train", (256, 454)),
    "_gT5yMd1uQk": K400Video(192, lambda rng: parade(rng, columns=3, ranks=2), 75, "val"),
    "b8HjZ0oLxFs": K400Video(259, bout, 140, "train"),
    "hW3-rVnC9eI": K400Video(259, bout, 101, "val", (256, 454)),
    "tY6uAqGk2Dw": K400Video(330, K400_SQUAT, 300, "train"),
    "zC4fEpSx7Jb": K400Video(330, K400_SQUAT, 181, "val"),
}
K400_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@cache
def k400_clip(frame_dir: str) -> tuple[dict[str, Any], NDArray[np.float16]]:
    """The index record of one video, and its skeletons [N, 17, 3] for the kpfile, row by row."""
    video = K400_VIDEOS[frame_dir]
    rng = generator(f"scene of {frame_dir}")
    pixels, scores, present = film(frame_dir, video.scene(rng), video.shape, video.frames)
    # A detector looked at every second frame, and passed over a few of those.
    looked_at = np.arange(0, video.frames, 2)
    kept = rng.random(len(looked_at)) > 0.02
    gap = rng.integers(3, len(kept) - 10)
    kept[gap : gap + rng.integers(1, 9)] = False
    kept[[0, -1]] = True
    sureness = rng.uniform(0.86, 0.99, len(pixels))
    sureness[2:] = rng.uniform(0.52, 0.93, len(sureness[2:]))  # who stands in the background
    box_score = np.clip(sureness[:, None] + 0.03 * rng.normal(size=present.shape), 0.5, 0.999).astype(np.float16)

    rows: list[tuple[int, int]] = []
    for frame in looked_at[kept]:
        people = np.flatnonzero(present[:, frame])
        rows += [(person, frame) for person in people[np.argsort(-box_score[people, frame], kind="stable")]]
    person, frame = np.array(rows).T
    frame_inds = (frame + 1).astype(np.int16)
    row_score = box_score[person, frame]
    skeletons = np.concatenate([pixels, scores[..., None]], axis=-1)[person, frame].astype(np.float16)
    # In float32, as the official counts are: 0.8 is stored as 0.7998.
    sure = {threshold: row_score.astype(np.float32) >= np.float32(threshold) for threshold in K400_THRESHOLDS}
    record = {
        "frame_dir": frame_dir,
        "label": video.label,
        "img_shape": video.shape,
        "original_shape": video.shape,
        "total_frames": video.frames,
        "frame_inds": frame_inds,
        "box_score": row_score,
        "valid": {threshold: len(np.unique(frame_inds[mask])) for threshold, mask in sure.items()},
        "raw_file": f"data/k400/kpfiles/{k400_kpfile(frame_dir)}",
    }
    return record, skeletons


def k400_kpfile(frame_dir: str) -> str:
    """Name of the kpfile that holds a video: the first half of the videos is in one, the second in the other."""
    ids = list(K400_VIDEOS)
    return f"k400_{2 * ids.index(frame_dir) // len(ids)}.pkl"


def k400_hrnet() -> dict[str, Any]:
    """The index of Kinetics-400, without skeletons."""
    split = {part: [key for key, video in K400_VIDEOS.items() if video.split == part] for part in ("train", "val")}
    return {"split": split, "annotations": [k400_clip(frame_dir)[0] for frame_dir in K400_VIDEOS]}


def k400_kpfiles(name: str) -> dict[str, Any]:
    """The kpfile of that name: the skeletons of half of the videos."""
    return {key: {"keypoint": k400_clip(key)[1]} for key in K400_VIDEOS if k400_kpfile(key) == name}


MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "ntu60_hrnet.pkl": ntu60_hrnet,
    "ntu60_3danno.pkl": ntu60_3danno,
    "ucf101_hrnet.pkl": ucf101_hrnet,
    "k400_hrnet.pkl": k400_hrnet,
    "k400_kpfiles/k400_0.pkl": lambda: k400_kpfiles("k400_0.pkl"),
    "k400_kpfiles/k400_1.pkl": lambda: k400_kpfiles("k400_1.pkl"),
}


def main() -> None:
    """Write every miniature, and say how large it is."""
    (FOLDER / "k400_kpfiles").mkdir(parents=True, exist_ok=True)
    (FOLDER / "README.txt").write_text(README, encoding="utf-8")
    for name, make in MAKERS.items():
        writer.write(make(), FOLDER / name, protocol=2, overwrite=True)
        print(f"{(FOLDER / name).stat().st_size:>9,} bytes  {name}")


if __name__ == "__main__":
    main()
