"""A file in the form of ntu60_hrnet, as large as one likes, and how memory is measured while it is read."""

import argparse
import pickle
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

import pysklnb

CLIPS = 56_578  # of ntu60_hrnet
SIZES = {"1/64": CLIPS // 64, "1/8": CLIPS // 8, "1": CLIPS}
CACHE = Path(__file__).parents[1] / ".bench-cache"


def unpickle(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def options_of(description, ways):
    """Read the command line. In a process that `compare` started, do the one thing asked for instead, and end."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", nargs=2, metavar=("WAY", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        way, path = options.once
        run_once(lambda: ways[way](path))
        sys.exit()
    return options


def cached(cache, kind, write, clips, protocol):
    """Give the path of a file with so many clips; write it if the cache folder does not have it."""
    cache.mkdir(exist_ok=True)
    path = cache / f"{kind}-{clips}-protocol{protocol}.pkl"
    if not path.exists():
        write(path, clips, protocol)
    return path


def big_file(cache, clips, protocol):
    return cached(cache, "open", write_file, clips, protocol)


def write_file(path, clips, protocol):
    """T from 32 to 160, one person or two, 15 kB a clip on disk in protocol 2."""
    rng = np.random.default_rng(0)
    pixels = rng.normal((960, 540), 150, (2, 300, 17, 2)).astype(np.float16)
    scores = rng.normal(0.9, 0.05, (2, 300, 17)).astype(np.float16)
    annotations = []
    for number in range(clips):
        people, start, frames = 1 + (number % 4 == 0), rng.integers(0, 140), int(rng.integers(32, 160))
        shape = tuple(int(side) for side in ("1080", "1920"))  # a new object each time, as in a real file
        name = f"S{number // 4000 + 1:03}C{number % 3 + 1:03}P{number % 40:03}R001A{number % 60 + 1:03}-{number}"
        annotations.append(
            {
                "frame_dir": name,
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


def run_once(work):
    """Do the work in this process; print seconds and, at its highest, megabytes of private memory."""
    highest = [private_memory()]
    begin, done = highest[0], threading.Event()

    def watch():
        while not done.wait(0.02):  # seldom: whoever reads much has to share the interpreter with this thread
            highest.append(private_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - start
    highest.append(private_memory())
    done.set()
    watcher.join()
    del kept
    print(seconds, max(highest) - begin)


def compare(script, ways, path, rounds):
    """Let a script do its work one way after the other, each in a process of its own; give the medians."""

    def measure(way):
        command = [sys.executable, script, "--once", way, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [float(number) for number in done.stdout.split()]

    measure("pickle")  # brings the file into the system's cache, for all
    found = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            found[way].append(measure(way))
    return {way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in found.items()}


def compare_sizes(script, ways, options, protocol):
    """Compare the ways at each size; give the number of clips, what was found, and the first cells of a row."""
    for name, clips in SIZES.items():
        path = big_file(options.cache, clips, protocol)
        found = compare(script, ways, path, options.rounds)
        cells = "  ".join(f"{cell:>18}" for cell in in_words(found))
        yield clips, found, f"{protocol:8}  {name:>5}  {path.stat().st_size / 1e6:6.0f}  {cells}"


def in_words(found):
    return [f"{seconds:6.2f} s {megabytes:6.0f} MB" for seconds, megabytes in found.values()]
