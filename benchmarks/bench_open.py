"""Time and memory of opening a file as large as NTU60's 2D skeletons, against plain pickle: ``make bench-open``.

Files of the same form and number of clips are written into a cache folder (about 1.5 GB, kept for the next time).
Each measurement is a process of its own. The two ways take turns, so that what else the machine does troubles both;
ratios are of the medians. Memory is *private* memory (anonymous pages) at its highest while the file is opened, over
what the process had before: pages of the file itself are shared with every other process and not counted.
"""

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

import pysklnb
from pysklnb.reader import read

CLIPS = 56_578  # of ntu60_hrnet
SIZES = {"1/64": CLIPS // 64, "1/8": CLIPS // 8, "1": CLIPS}
WAYS = ("pysklnb", "pickle")


def write_file(path, clips, protocol):
    """A file in the form of ntu60_hrnet: T from 32 to 160, 15 kB a clip on disk in protocol 2."""
    rng = np.random.default_rng(0)
    pixels = rng.normal((960, 540), 150, (2, 300, 17, 2)).astype(np.float16)
    scores = rng.normal(0.9, 0.05, (2, 300, 17)).astype(np.float16)
    annotations = []
    for number in range(clips):
        people, start, frames = 1 + (number % 4 == 0), rng.integers(0, 140), int(rng.integers(32, 160))
        shape = tuple([1080, 1920])  # noqa: C409 (a new object each time, as in a real file)
        annotations.append(
            {
                "frame_dir": f"S{number // 4000 + 1:03}C{number % 3 + 1:03}P{number % 40:03}R001A{number % 60 + 1:03}-{number}",
                "label": number % 60,
                "img_shape": shape,
                "original_shape": shape,
                "total_frames": frames,
                "keypoint": pixels[:people, start : start + frames],
                "keypoint_score": scores[:people, start : start + frames],
            }
        )
    ids = [clip["frame_dir"] for clip in annotations]
    split = {"xsub_train": ids[: clips * 2 // 3], "xsub_val": ids[clips * 2 // 3 :]}
    pysklnb.save({"split": split, "annotations": annotations}, path, protocol=protocol, overwrite=True)


def private_memory():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1000
    raise SystemExit("Memory is measured with /proc, which this system does not have.")


def open_once(way, path):
    """Open one file in this process; print seconds and megabytes."""
    highest = [private_memory()]
    begin, done = highest[0], threading.Event()

    def watch():
        while not done.wait(0.005):
            highest.append(private_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    if way == "pysklnb":
        opened = pysklnb.load(path)
    else:
        with open(path, "rb") as file:
            opened = pickle.load(file)
    seconds = time.perf_counter() - start
    highest.append(private_memory())
    done.set()
    watcher.join()
    print(seconds, max(highest) - begin, len(opened))


def measure(way, path):
    command = [sys.executable, __file__, "--open", way, str(path)]
    seconds, megabytes, _ = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(megabytes)


def compare(path, rounds):
    measure("pickle", path)  # brings the file into the system's cache, for both
    found = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(measure(way, path))
    return {way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in found.items()}


def microseconds_an_array(path):
    handles = [clip["keypoint"] for clip in read(path)["annotations"][:2000]]
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for handle in handles:
            handle.read()
        times.append((time.perf_counter() - start) / len(handles) * 1e6)
    return min(times), np.mean([handle.nbytes for handle in handles]) / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(__file__).parents[1] / ".bench-cache")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--open", nargs=2, metavar=("WAY", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        open_once(*options.open)
        return
    options.cache.mkdir(exist_ok=True)
    print(f"{'protocol':8}  {'size':>5}  {'MB':>6}  {'pysklnb':>18}  {'pickle':>18}  {'quicker':>8}  {'smaller':>8}")
    for protocol in (2, 4):
        for name, clips in SIZES.items():
            path = options.cache / f"open-{clips}-protocol{protocol}.pkl"
            if not path.exists():
                write_file(path, clips, protocol)
            found = compare(path, options.rounds)
            cells = [f"{seconds:6.2f} s {megabytes:6.0f} MB" for seconds, megabytes in found.values()]
            quicker, smaller = (theirs / ours for ours, theirs in zip(*found.values(), strict=True))
            size = os.path.getsize(path) / 1e6
            print(f"{protocol:8}  {name:>5}  {size:6.0f}  {cells[0]:>18}  {cells[1]:>18}  {quicker:7.1f}x  {smaller:7.1f}x")
        per_array, kilobytes = microseconds_an_array(options.cache / f"open-{SIZES['1/8']}-protocol{protocol}.pkl")
        print(f"{protocol:8}  one array of {kilobytes:.1f} kB on average: {per_array:.1f} µs")


if __name__ == "__main__":
    main()
