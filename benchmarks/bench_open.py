"""Time and memory of opening a file as large as NTU60's 2D skeletons, against plain pickle: ``make bench-open``.

Files of the same form and number of clips are written into a cache folder (about 1.5 GB, kept for the next time).
Each measurement is a process of its own. The two ways take turns, so that what else the machine does troubles both;
ratios are of the medians. Memory is *private* memory (anonymous pages) at its highest while the file is opened, over
what the process had before: pages of the file itself are shared with every other process and not counted.
"""

import time

import numpy as np
from big_file import SIZES, big_file, compare_sizes, options_of, unpickle

import pysklnb
from pysklnb.reader import read

WAYS = {"pysklnb": pysklnb.load, "pickle": unpickle}


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
    options = options_of(__doc__, WAYS)
    print(f"{'protocol':8}  {'size':>5}  {'MB':>6}  {'pysklnb':>18}  {'pickle':>18}  {'quicker':>8}  {'smaller':>8}")
    for protocol in (2, 4):
        for _, found, row in compare_sizes(__file__, WAYS, options, protocol):
            quicker, smaller = (theirs / ours for ours, theirs in zip(*found.values(), strict=True))
            print(f"{row}  {quicker:7.1f}x  {smaller:7.1f}x", flush=True)
        per_array, kilobytes = microseconds_an_array(big_file(options.cache, SIZES["1/8"], protocol))
        print(f"{protocol:8}  one array of {kilobytes:.1f} kB on average: {per_array:.1f} µs")


if __name__ == "__main__":
    main()
