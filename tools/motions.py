"""What the synthetic performers do: each motion is a function ``(performer, t, rng) -> Pose`` of the times t [T] in s.

All motions are written for a body of nominal size that faces forward (see `body.py`), with the performer's preferred
side, tempo and gusto; small differences come from `rng`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from body import (
    FOREARM,
    LEFT,
    LEG,
    RIGHT,
    STANDING,
    UPPER_ARM,
    Array,
    Performer,
    Pose,
    bend,
    ease,
    keyed,
    smoothed,
    unit,
)

Motion = Callable[[Performer, Array, np.random.Generator], Pose]

HANGING = ((0.12, -1.0, -0.02), (0.04, -1.0, 0.24))
GUARD = ((0.32, -0.86, 0.4), (-0.42, 0.86, 0.5))
CONTACT = 0.62  # share of a stride for which a foot is on the ground
# Angle of the raised heel (radians) over a stride that begins as the foot comes down, heel first.
HEEL_SHARES = (0.0, 0.08, 0.36, CONTACT, 0.78, 0.93, 1.0)
HEEL_ANGLES = (-0.2, 0.0, 0.0, 0.75, 0.5, -0.2, -0.2)
DOWN_AND_OUT = (0.5, -0.8, -0.2)


def reaching(wrist: tuple[float, float, float], elbow: tuple[float, float, float] = DOWN_AND_OUT) -> Array:
    """Directions [2, 3] of upper arm and forearm that bring the wrist there: (out, up, forward) of the shoulder, m."""
    return np.stack(bend(np.array(wrist), np.array(elbow), UPPER_ARM, FOREARM))


def move_arm(pose: Pose, side: int, t: Array, *keys: tuple[float, object]) -> None:
    """Take an arm through keys ``(time, (upper, fore))``."""
    directions = keyed(t, *keys)
    pose.upper[side], pose.fore[side] = unit(directions[:, 0]), unit(directions[:, 1])


def drift(t: Array, rng: np.random.Generator, size: float) -> Array:
    """A slow wandering [T] of about that size, as nobody stands still."""
    rates, phases = rng.uniform(0.2, 0.9, 3), rng.uniform(0, 2 * np.pi, 3)
    return size * np.sin(2 * np.pi * rates * t[:, None] + phases).mean(axis=1)


def stand(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """Standing at ease: the weight shifts, the chest breathes, the head and the arms are never quite still."""
    pose = Pose(len(t))
    pose.hips[:, 0] += drift(t, rng, 0.02)
    pose.hips[:, 2] += drift(t, rng, 0.02)
    pose.turn[:, 0] += rng.normal(0, 0.04) + drift(t, rng, 0.04)
    pose.turn[:, 2] += drift(t, rng, 0.02)
    for axis, size in enumerate((0.05, 0.03, 0.03)):
        pose.bow[:, axis] += drift(t, rng, size)
        pose.gaze[:, axis] += rng.normal(0, size) + drift(t, rng, 2 * size)
    for side in (LEFT, RIGHT):
        pose.ball[side] += rng.normal(0, (0.015, 0.0, 0.02))
        pose.toes_out[side] += rng.normal(0, 0.05)
        for axis in range(3):
            pose.upper[side, :, axis] += drift(t, rng, 0.05)
            pose.fore[side, :, axis] += rng.normal(0, 0.03) + drift(t, rng, 0.08)
    return pose


def wave(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """One hand goes up beside the head and waves."""
    pose, side, end = stand(performer, t, rng), performer.side, t[-1]
    up = ((0.8, -0.42, 0.42), (0.1, 0.95, 0.3))
    lower = 1.15 * end if rng.random() < 0.6 else 0.78 * end
    move_arm(pose, side, t, (-0.1 * end, HANGING), (0.27 * end, up), (lower, up), (lower + 0.3 * end, HANGING))
    raised = keyed(t, (0.12 * end, 0.0), (0.27 * end, 1.0), (lower, 1.0), (lower + 0.1, 0.0))
    swing = np.sin(2 * np.pi * 1.9 * performer.tempo * t + rng.uniform(0, 2 * np.pi)) * raised * performer.gusto
    pose.fore[side, :, 0] += 0.52 * swing
    pose.upper[side, :, 0] += 0.08 * swing
    pose.bow[:, 2] += (0.05 if side == LEFT else -0.05) * -raised
    return pose


def clap(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """Both hands meet in front of the chest, again and again."""
    pose = stand(performer, t, rng)
    rate, phase, level = 2.6 * performer.tempo, rng.uniform(0, 1), rng.uniform(-0.16, -0.08)
    apart = 0.5 - 0.5 * np.cos(2 * np.pi * (rate * t + phase))
    elbow = (0.25, -1.0, -0.2)
    shut, opened = reaching((-0.145, level, 0.32), elbow), reaching((0.03, level - 0.02, 0.33), elbow)
    share = (apart * min(performer.gusto, 1.05))[:, None, None]
    clapping = shut + share * (opened - shut)
    ready = keyed(t, (-0.2, 0.0), (rng.uniform(0.15, 0.35), 1.0))[:, None, None]
    arms = (1 - ready) * np.array(HANGING) + ready * clapping
    for side in (LEFT, RIGHT):
        pose.upper[side], pose.fore[side] = unit(arms[:, 0]), unit(arms[:, 1])
    pose.bow[:, 1] += 0.02 * apart
    return pose


def drink(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """A cup goes from the belly to the mouth, the head tips back, the cup comes down again."""
    pose, side, end = stand(performer, t, rng), performer.side, t[-1]
    held = reaching((0.0, -0.27, 0.3))
    mouth = reaching((-0.09, 0.02, 0.22), elbow=(0.6, -0.9, 0.1))
    move_arm(pose, side, t, (-0.2 * end, held), (0.4 * end, mouth), (0.75 * end, mouth), (1.25 * end, held))
    tipped = keyed(t, (0.3 * end, 0.0), (0.48 * end, 1.0), (0.72 * end, 1.0), (0.9 * end, 0.0))
    pose.gaze[:, 1] -= 0.32 * tipped
    pose.bow[:, 1] -= 0.06 * tipped
    pose.fore[side, :, 1] += 0.12 * tipped
    return pose


def sit_down(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """From standing onto a chair: a bow forward while the hips go back and down, then the back straightens."""
    pose, end = stand(performer, t, rng), t[-1]
    start = rng.uniform(0.05, 0.15) * end
    seated = start + min(0.62 * end, 1.15 / performer.tempo)
    seat = rng.uniform(0.5, 0.54)
    down = keyed(t, (start, 0.0), (seated, 1.0))
    pose.hips[:, 1] += down * (seat - STANDING)
    pose.hips[:, 2] -= keyed(t, (start, 0.0), (seated - 0.1, 1.0)) * 0.36
    pose.ball[:, :, 0] += 0.03
    settled = min(seated + 0.45, end + 0.1)
    bowed = keyed(t, (start - 0.1, 0.0), (start + 0.62 * (seated - start), 1.0), (settled, 0.0))
    pose.turn[:, 1] += 0.42 * bowed - 0.08 * down
    pose.bow[:, 1] += 0.26 * bowed + 0.06 * down
    pose.gaze[:, 1] -= 0.3 * bowed
    on_knees = reaching((rng.uniform(-0.02, 0.05), -0.36, rng.uniform(0.26, 0.31)), elbow=(0.5, -0.3, -0.9))
    midway = ((0.25, -0.9, 0.3), (0.02, -0.85, 0.5))
    halfway = start + 0.55 * (seated - start)
    for side in (LEFT, RIGHT):
        late = rng.uniform(0, 0.1)
        keys = ((start - 0.15, HANGING), (halfway + late, midway), (seated + 0.25 + late, on_knees))
        move_arm(pose, side, t, *keys)
    return pose


def stand_up(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """From a chair to standing: the way down, backwards, is how people get up as well."""
    pose = sit_down(performer, t, rng)
    for name in ("hips", "turn", "bow", "gaze"):
        setattr(pose, name, getattr(pose, name)[::-1])
    for name in ("upper", "fore", "ball", "heel", "toes_out"):
        setattr(pose, name, getattr(pose, name)[:, ::-1])
    return pose


def kick(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """A step of the weight onto one leg; the other swings back, then forward and up, and comes down again."""
    pose, side, end = stand(performer, t, rng), performer.side, t[-1]
    other, sign = 1 - side, 1.0 if side == LEFT else -1.0
    high = rng.uniform(0.4, 0.58) * performer.gusto
    # As far forward as the leg, all but straight, reaches at that height.
    far = np.sqrt((0.94 * LEG) ** 2 - (STANDING - high) ** 2) + 0.17
    back, hit, home = 0.34 * end, 0.54 * end, 0.86 * end
    ball = ((0.12, 0.0, 0.09), (0.09, 0.16, -0.42), (0.03, high, far), (0.12, 0.0, 0.09))
    times = (0.08 * end, back, hit, home)
    pose.ball[side] = keyed(t, *zip(times, ball, strict=True))
    pose.heel[side] = keyed(t, *zip(times, (0.0, 0.95, -0.6, 0.0), strict=True))
    on_one_leg = keyed(t, (0.0, 0.0), (0.22 * end, 1.0), (0.7 * end, 1.0), (0.95 * end, 0.0))
    pose.hips[:, 0] -= sign * 0.085 * on_one_leg
    pose.hips[:, 1] -= 0.02 * on_one_leg
    swing = keyed(t, *zip(times, (0.0, -1.0, 1.0, 0.0), strict=True))
    pose.hips[:, 2] += 0.03 * swing
    pose.turn[:, 0] -= sign * 0.22 * swing
    pose.bow[:, 0] += sign * 0.34 * swing
    pose.turn[:, 1] -= 0.14 * np.maximum(swing, 0) - 0.1 * np.minimum(swing, 0)
    pose.bow[:, 1] += 0.16 * np.maximum(swing, 0) + 0.1
    pose.gaze[:, 1] += 0.12
    # The arms balance: the one of the kicking side goes back as the leg goes forward, the other one the other way.
    for arm, way in ((side, -1.0), (other, 1.0)):
        pose.upper[arm, :, 2] += way * 0.55 * swing
        pose.upper[arm, :, 0] += 0.42 * on_one_leg
        pose.fore[arm, :, 0] += 0.3 * on_one_leg
        pose.fore[arm, :, 2] += 0.3 * on_one_leg + way * 0.45 * swing
    return pose


def jump(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """Crouch with the arms back, take-off with the arms up, flight, a landing on bending knees."""
    pose, end = stand(performer, t, rng), t[-1]
    high = rng.uniform(0.22, 0.3) * performer.gusto
    flight = 2 * np.sqrt(2 * high / 9.81)
    lift = 0.42 * end
    land = lift + flight
    rise = np.where((t > lift) & (t < land), 4.905 * (t - lift) * (land - t), 0.0)
    crouched = keyed(
        t, (0.05, 0.0), (lift - 0.26, 1.0), (lift, -0.05), (land, 0.0), (land + 0.17, 0.8), (land + 0.62, 0.0)
    )
    pose.hips[:, 2] -= 0.09 * crouched
    pose.turn[:, 1] += 0.42 * crouched
    pose.bow[:, 1] += 0.22 * crouched
    pose.gaze[:, 1] -= 0.4 * crouched
    on_toes = keyed(t, (lift - 0.16, 0.0), (lift, 1.0), (land - 0.06, 0.8), (land + 0.09, 0.0))
    pose.hips[:, 1] += rise + 0.09 * on_toes - 0.27 * np.maximum(crouched, 0)
    pose.heel += 0.75 * on_toes
    pose.ball[:, :, 1] += rise
    pose.ball[:, :, 2] -= 0.06 * on_toes * (rise > 0)
    # Angles of the arms from hanging (0) over forward to overhead (pi), so that they swing round the shoulder.
    times = (0.0, lift - 0.27, lift + 0.12, land - 0.1, land + 0.18, land + 0.65)
    upper = keyed(t, *zip(times, (0.0, -0.6, 1.9, 1.8, 0.5, 0.0), strict=True))
    fore = keyed(t, *zip(times, (0.24, -0.15, 2.3, 2.1, 1.0, 0.24), strict=True))
    out = keyed(t, *zip(times, (0.12, 0.25, 0.3, 0.4, 0.5, 0.12), strict=True))
    for side in (LEFT, RIGHT):
        pose.upper[side] = np.stack([out, -np.cos(upper), np.sin(upper)], axis=-1)
        pose.fore[side] = np.stack([0.5 * out, -np.cos(fore), np.sin(fore)], axis=-1)
    return pose


def squat(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """Knee bends with the arms held out in front."""
    pose = stand(performer, t, rng)
    depth = 0.5 - 0.5 * np.cos(2 * np.pi * (0.55 * performer.tempo * t + rng.uniform(0, 1)))
    pose.hips[:, 1] -= 0.4 * depth * performer.gusto
    pose.hips[:, 2] -= 0.2 * depth
    pose.ball[:, :, 0] += 0.1
    pose.toes_out += 0.25
    pose.turn[:, 1] += 0.5 * depth
    pose.bow[:, 1] += 0.05 * depth
    pose.gaze[:, 1] -= 0.35 * depth
    front = np.array(((0.1, 0.4, 0.9), (-0.15, 0.5, 0.85)))
    low = np.array(((0.2, -0.85, 0.4), (-0.05, -0.35, 0.9)))
    share = depth[:, None, None]
    arms = (1 - share) * low + share * front
    for side in (LEFT, RIGHT):
        pose.upper[side], pose.fore[side] = unit(arms[:, 0]), unit(arms[:, 1])
    return pose


def jumping_jack(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """Feet apart and arms overhead with one hop, together and down with the next."""
    pose = stand(performer, t, rng)
    beat = 1.05 * performer.tempo * t + rng.uniform(0, 1)
    spread = 0.5 - 0.5 * np.cos(2 * np.pi * beat)
    rise = 0.07 * np.maximum(np.sin(4 * np.pi * beat + 0.3), 0.0)
    pose.ball[:, :, 0] += -0.04 + 0.27 * ease(spread)
    pose.ball[:, :, 1] += rise
    pose.heel += 0.2 + 3.5 * rise
    pose.hips[:, 1] += rise - 0.04
    # A circle through the side, not a straight line through the shoulder.
    angle = np.radians(-82 + 152 * spread)
    for side in (LEFT, RIGHT):
        lag = np.radians(-82 + 160 * np.clip(spread + 0.02, 0, 1))
        pose.upper[side] = np.stack([np.cos(angle), np.sin(angle), np.full(len(t), 0.08)], axis=-1)
        pose.fore[side] = np.stack([np.cos(lag) - 0.25 * spread, np.sin(lag), np.full(len(t), 0.2)], axis=-1)
    return pose


def _fight_stance(pose: Pose, rear: int) -> None:
    """One foot behind, knees a little bent, the fists before the chin."""
    front, sign = 1 - rear, 1.0 if rear == LEFT else -1.0
    pose.ball[front, :, 2] += 0.17
    pose.ball[rear, :, 2] -= 0.24
    pose.heel[rear] += 0.35
    pose.toes_out[rear] += 0.35
    pose.hips[:, 1] -= 0.07
    pose.turn[:, 0] += sign * 0.3
    pose.bow[:, 1] += 0.12
    pose.gaze[:, 0] -= sign * 0.25
    for side in (LEFT, RIGHT):
        pose.upper[side] += np.array(GUARD[0]) - np.array(HANGING[0])
        pose.fore[side] += np.array(GUARD[1]) - np.array(HANGING[1])


def _throw_punch(pose: Pose, side: int, strike: Array, strength: float, level: float = 0.0) -> None:
    """Drive one fist forward where `strike` [T] goes to 1: the hips turn first, then the chest, then the arm."""
    sign = 1.0 if side == LEFT else -1.0
    pose.hips[:, 2] += 0.1 * strength * strike
    pose.turn[:, 0] -= sign * 0.42 * strength * strike
    pose.bow[:, 0] -= sign * 0.38 * strength * strike
    pose.bow[:, 1] += 0.1 * strength * strike
    pose.gaze[:, 0] += sign * 0.7 * strength * strike
    # Straight ahead of the body, seen from a chest that has turned with the punch.
    extended = np.array(((0.22, -0.12 + level, 1.0), (0.1, 0.02 + level, 1.0)))
    share = strike[:, None]
    pose.upper[side] = (1 - share) * pose.upper[side] + share * extended[0]
    pose.fore[side] = (1 - share) * pose.fore[side] + share * extended[1]


def punch(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """From standing into a fighting stance, a blow at shoulder height, and back."""
    pose, side, end = stand(performer, t, rng), performer.side, t[-1]
    relaxed = stand(performer, t, rng)
    _fight_stance(pose, rear=side)
    ready = keyed(t, (0.0, 0.25), (0.3 * end, 1.0), (0.72 * end, 1.0), (1.15 * end, 0.2))
    for name in ("hips", "turn", "bow", "gaze"):
        setattr(pose, name, getattr(relaxed, name) + ready[:, None] * (getattr(pose, name) - getattr(relaxed, name)))
    for name in ("upper", "fore"):
        tracks = getattr(relaxed, name), getattr(pose, name)
        setattr(pose, name, tracks[0] + ready[:, None] * (tracks[1] - tracks[0]))
    hit = rng.uniform(0.44, 0.52) * end
    strike = keyed(t, (hit - 0.2, 0.0), (hit, 1.0), (hit + 0.07, 1.0), (hit + 0.4, 0.0))
    _throw_punch(pose, side, strike, strength=performer.gusto)
    return pose


def take_punch(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """The head and the chest go back when the blow arrives, the arms come up, one foot steps back."""
    pose, end = stand(performer, t, rng), t[-1]
    hit = rng.uniform(0.47, 0.5) * end
    thrown = keyed(t, (hit - 0.08, 0.0), (hit + 0.2, 1.0), (hit + 0.75, 0.1))
    stepped = keyed(t, (hit + 0.02, 0.0), (hit + 0.32, 1.0))
    back = performer.side
    pose.ball[back, :, 2] -= 0.32 * stepped
    pose.ball[back, :, 1] += 0.3 * stepped * (1 - stepped)
    pose.hips[:, 2] -= 0.12 * stepped + 0.05 * thrown
    pose.hips[:, 1] -= 0.03 * thrown
    pose.turn[:, 1] -= 0.14 * thrown
    pose.bow[:, 1] -= 0.24 * thrown
    pose.gaze[:, 1] -= 0.2 * thrown
    pose.gaze[:, 0] += rng.choice((-0.35, 0.35)) * thrown
    for side in (LEFT, RIGHT):
        size = thrown * rng.uniform(0.7, 1.0)
        pose.upper[side] += size[:, None] * np.array([0.3, 0.3, 0.4])
        pose.fore[side] += size[:, None] * np.array([-0.15, 1.1, 0.6])
    return pose


def box(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
    """Jabs and crosses from a fighting stance, as at a punching bag."""
    pose, rear = stand(performer, t, rng), performer.side
    _fight_stance(pose, rear)
    bounce = np.sin(2 * np.pi * 1.7 * performer.tempo * t + rng.uniform(0, 2 * np.pi))
    pose.hips[:, 1] += 0.012 * bounce - 0.01
    pause = 0.52 / performer.tempo
    times = np.arange(rng.uniform(-0.1, 0.2), t[-1] + 0.4, pause)
    for number, hit in enumerate(times):
        strike = keyed(t, (hit - 0.17, 0.0), (hit, 1.0), (hit + 0.03, 1.0), (hit + 0.27, 0.0))
        side, strength = (1 - rear, 0.5) if number % 2 == 0 else (rear, 0.95)
        _throw_punch(pose, side, strike, strength, level=rng.uniform(-0.1, 0.05))
    return pose


def walker(
    stride: float = 1.15, cadence: float = 0.95, distance: float = np.inf, knees: float = 0.0, swing: float = 1.0
) -> Motion:
    """A walk along the way one faces, already under way at t = 0, that comes to a stop after `distance` metres.

    A stride is two steps, in metres; cadence is strides a second; `knees` raises the feet further (m), `swing` is how
    much the arms take part.
    """

    def walk(performer: Performer, t: Array, rng: np.random.Generator) -> Pose:
        pose = stand(performer, t, rng)
        first = rng.uniform(0, 1)
        last = np.ceil(2 * (first + distance / stride) + 1) / 2
        phase = np.minimum(first + cadence * performer.tempo * t, last)
        path = smoothed(np.minimum(stride * phase, stride * first + distance), 3.0) - stride * first
        going = np.clip(np.gradient(path, t) / (stride * cadence * performer.tempo), 0.0, 1.0)
        pose.hips[:, 2] += path
        lean = 0.03 * going
        pose.turn[:, 1] += lean
        pose.gaze[:, 1] -= lean
        for side in (LEFT, RIGHT):
            own = phase - 0.5 * side
            step, share = np.divmod(own, 1.0)
            planted = stride * np.minimum(step[:, None] + [0, 1] + 0.5 * side + CONTACT / 2, first + distance / stride)
            ahead = ease((share - CONTACT) / (1 - CONTACT))
            pose.ball[side, :, 2] += planted[:, 0] + ahead * (planted[:, 1] - planted[:, 0]) - stride * first
            # The last steps are shorter, and lower; who marches lifts the knees as long as the music plays.
            size = np.ones(len(t)) if knees else np.minimum((planted[:, 1] - planted[:, 0]) / stride, 1.0)
            air = np.clip((share - CONTACT) / (1 - CONTACT), 0.0, 1.0)
            toes_up = 0.03 * ease(2 * air - 1)
            pose.ball[side, :, 1] += size * ((0.05 + knees) * np.sin(np.pi * air) ** 1.5 + toes_up)
            heel = np.interp(share, HEEL_SHARES, HEEL_ANGLES)
            pose.heel[side] = smoothed(heel * size, 1.0)
            pose.ball[side, :, 0] -= 0.035
            # An arm goes with the other side's leg.
            angle = np.cos(2 * np.pi * (own - 0.02)) * going * performer.gusto * swing
            pose.upper[side, :, 2] -= 0.42 * angle + 0.02
            pose.fore[side, :, 2] += -0.5 * angle + 0.12
        turn = np.cos(2 * np.pi * phase) * going
        pose.turn[:, 0] -= 0.09 * turn
        pose.bow[:, 0] += 0.19 * turn * min(swing, 1.0)
        pose.gaze[:, 0] -= 0.1 * turn
        pose.hips[:, 0] += 0.022 * np.sin(2 * np.pi * (phase - 0.05)) * going
        pose.hips[:, 1] -= 0.005
        return pose

    return walk
