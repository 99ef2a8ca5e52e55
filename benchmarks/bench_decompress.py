"""Time of decompressing a Kinetics clip, against a loop over its skeletons: ``make bench-decompress``.

The loop is the one of the tests, to which `decompress` is equal to the bit. The two take turns in one process, so that
what else the machine does troubles both; times are the shortest, and ratios are of those.
"""

import argparse
import runpy
import time
from pathlib import Path

import numpy as np

import pysklnb

TESTS = Path(__file__).parents[1] / "tests" / "test_compression.py"
by_hand = runpy.run_path(str(TESTS))["decompress_by_hand"]


def make_clip(skeletons, crowd):
    """A record of the index and its skeletons [N, 17, 3]: every second frame of a video, 1 to `crowd` people in it."""
    rng = np.random.default_rng(skeletons)
    people = rng.integers(1, crowd + 1, skeletons)
    frame_inds = np.repeat(np.arange(1, 2 * skeletons, 2), people)[:skeletons].astype(np.int16)
    keypoint = rng.normal(300, 100, (skeletons, 17, 3))
    keypoint[..., 2] = rng.normal(0.8, 0.1, (skeletons, 17)).clip(0, 1.02)
    record = {
        "frame_dir": "abc",
        "label": 1,
        "img_shape": (340, 256),
        "original_shape": (340, 256),
        "total_frames": int(frame_inds[-1]),
        "frame_inds": frame_inds,
        "valid": {},
        "raw_file": "k400_0.pkl",
    }
    return record, keypoint.astype(np.float16)


def shortest(works, rounds):
    """Seconds that each work takes at its quickest. Quick ones have more goes in a round than slow ones."""
    goes = []
    for work in works:
        start = time.perf_counter()
        work()
        goes.append(max(1, round(0.01 / (time.perf_counter() - start))))
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for number, work in enumerate(works):
            for _ in range(goes[number]):
                start = time.perf_counter()
                work()
                best[number] = min(best[number], time.perf_counter() - start)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    print(f"{'skeletons':>9}  {'people a frame':>14}  {'decompress':>10}  {'the loop':>10}  {'quicker':>8}")
    for skeletons in (290, 2000):
        for crowd in (30, 10):
            record, keypoint = make_clip(skeletons, crowd)
            frame_inds = record["frame_inds"]
            found = pysklnb.decompress(record, keypoint)
            for ours, theirs in zip(
                (found["keypoint"], found["keypoint_score"]), by_hand(frame_inds, keypoint), strict=True
            ):
                assert ours.tobytes() == theirs.tobytes()
            ours, theirs = shortest(
                [lambda r=record, k=keypoint: pysklnb.decompress(r, k), lambda i=frame_inds, k=keypoint: by_hand(i, k)],
                options.rounds,
            )
            times = f"{ours * 1e6:7.0f} µs  {theirs * 1e6:7.0f} µs"
            print(f"{skeletons:9,}  {f'up to {crowd}':>14}  {times}  {theirs / ours:7.1f}x", flush=True)


if __name__ == "__main__":
    main()
