"""Time and memory of an index as large as that of Kinetics, and of a kpfile: ``make bench-kpfiles``.

Both are synthetic and in protocol 2, as the official tools write; the kpfile in protocol 4 as well, as pysklnb does.
They are written into a cache folder (about 1 GB, kept for the next time). Opening is measured as in bench_open.py: each
measurement is a process of its own, the ways take turns, ratios are of the medians, and memory is private memory at its
highest, over what the process had before. Clips of the kpfile are then asked for in random order, each for the first
time; the file itself is in the system's cache. The same is done with clips that memcached has, if it is installed.
"""

import contextlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import numpy as np
from big_file import cached, compare, in_words, options_of, unpickle

import pysklnb

RECORDS = 240_000  # of Kinetics-400
SIZES = {"1/16": RECORDS // 16, "1/4": RECORDS // 4, "1": RECORDS}
CLIPS = 5_000  # of the kpfile
ASKED_FOR = 1_000  # of those
CACHED = 300  # clips that are left with memcached
LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def draw_names(count):
    """Draw ids as those of YouTube."""
    return ["".join(letters) for letters in np.random.default_rng(1).choice(LETTERS, (count, 11))]


def draw_counts(rng, clips):
    """Draw the number of skeletons of each clip: 290 on average, few or thousands now and then, as in Kinetics."""
    return rng.lognormal(np.log(290) - 0.32, 0.8, clips).clip(9, 3703).astype(int)


def write_index(path, clips, protocol):
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0.5, 1, 100_000).astype(np.float16)
    annotations = []
    for number, (name, skeletons) in enumerate(zip(draw_names(clips), draw_counts(rng, clips), strict=True)):
        # Ten seconds, or less, of a video of 25, 30 or 60 pictures a second. Every second picture was looked at.
        total = int(rng.choice([250, 300, 300, 300, 600, rng.integers(30, 300)]))
        start = int(rng.integers(0, len(boxes) - skeletons))
        looked_at = total // 2
        shape = tuple(int(side) for side in rng.choice([(240, 320), (256, 340), (340, 256), (320, 240), (1080, 1920)]))
        annotations.append(
            {
                "frame_dir": name,
                "label": int(rng.integers(400)),
                "img_shape": shape,
                "original_shape": shape,
                "total_frames": total,
                "frame_inds": np.sort(rng.integers(0, looked_at, skeletons, np.int16)) * np.int16(2) + np.int16(1),
                "box_score": boxes[start : start + skeletons],
                "valid": {score: int(looked_at * (1.4 - score)) for score in (0.5, 0.6, 0.7, 0.8, 0.9)},
                "raw_file": f"data/k400/kpfiles_2d/k400_{number // CLIPS}.pkl",
            }
        )
    ids = [clip["frame_dir"] for clip in annotations]
    split = {"train": ids[clips // 12 :], "val": ids[: clips // 12]}
    pysklnb.save({"split": split, "annotations": annotations}, path, protocol=protocol, overwrite=True)


def write_kpfile(path, clips, protocol):
    rng = np.random.default_rng(0)
    skeletons = rng.normal(200, 60, (10_000, 17, 3)).astype(np.float16)
    skeletons[..., 2] = rng.normal(0.8, 0.1, skeletons.shape[:2]).clip(0, 1.02)
    content = {}
    for name, count in zip(draw_names(clips), draw_counts(rng, clips), strict=True):
        start = rng.integers(0, len(skeletons) - count)
        content[name] = {"keypoint": skeletons[start : start + count]}
    pysklnb.save(content, path, protocol=protocol, overwrite=True)


def some_clips():
    """Choose clips in no order, each once."""
    return np.random.default_rng(2).choice(draw_names(CLIPS), ASKED_FOR, replace=False).tolist()


def open_kpfile(path, names=()):
    """Make a store, which opens the kpfile when it is first asked for a clip, and ask for some more."""
    store = pysklnb.KpfileStore(path)
    for name in (draw_names(1)[0], *names):
        store[name]
    return store


WAYS = {
    "pysklnb": pysklnb.load,
    "store": open_kpfile,
    "clips": lambda path: open_kpfile(path, some_clips()),
    "pickle": unpickle,
}


def measure(path, ways, rounds):
    found = compare(__file__, ways, path, rounds)
    return in_words(found), found


def microseconds_a_clip(store, names):
    times = []
    for name in names:
        start = time.perf_counter()
        store[name]
        times.append((time.perf_counter() - start) * 1e6)
    return f"median {statistics.median(times):5.0f} µs, worst {max(times):5.0f} µs"


@contextlib.contextmanager
def memcached(program):
    """Run a server of our own on a free port of this machine, for as long as the block takes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    host, port = address
    server = subprocess.Popen([program, "-l", host, "-p", str(port), "-U", "0", "-u", "nobody", "-m", "256"])
    try:
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(address):
                break
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait()


def main():
    options = options_of(__doc__, WAYS)
    print(f"{'index':>9}  {'MB':>5}  {'pysklnb':>18}  {'pickle':>18}  {'quicker':>8}  {'smaller':>8}")
    for name, clips in SIZES.items():
        path = cached(options.cache, "index", write_index, clips, 2)
        cells, found = measure(path, ["pysklnb", "pickle"], options.rounds)
        quicker, smaller = (theirs / ours for ours, theirs in zip(*found.values(), strict=True))
        row = f"{name:>9}  {path.stat().st_size / 1e6:5.0f}  {cells[0]:>18}  {cells[1]:>18}"
        print(f"{row}  {quicker:7.1f}x  {smaller:7.1f}x", flush=True)

    print(f"\n{'kpfile':>9}  {'MB':>5}  {'opened':>18}  {f'and {ASKED_FOR:,} clips':>18}  {'pickle':>18}  one clip")
    for protocol in (2, 4):
        path = cached(options.cache, "kpfile", write_kpfile, CLIPS, protocol)
        cells, _ = measure(path, ["store", "clips", "pickle"], options.rounds)
        row = f"{f'proto. {protocol}':>9}  {path.stat().st_size / 1e6:5.0f}  {'  '.join(f'{c:>18}' for c in cells)}"
        print(f"{row}  {microseconds_a_clip(open_kpfile(path), some_clips())}", flush=True)

    program = shutil.which("memcached")
    if program is None:
        print("\nmemcached was left out: there is no such program here.")
        return
    names = some_clips()[:CACHED]
    with memcached(program) as server, tempfile.TemporaryDirectory() as nothing:
        pysklnb.KpfileStore(path, memcached=server).warm([{"frame_dir": name} for name in names])
        # Without a kpfile there is nowhere else to have clips from.
        store = pysklnb.KpfileStore(nothing, memcached=server)
        store[names[0]]
        print(f"\none clip of {CACHED} in memcached: {microseconds_a_clip(store, names[1:])}")


if __name__ == "__main__":
    main()
