"""Time and memory of validating a file as large as NTU60's 2D skeletons, against plain pickle: ``make bench-validate``.

Every array is read and checked; plain pickle only loads them. Files, processes and memory are as in bench_open.py: each
measurement is a process of its own, the two ways take turns, ratios are of the medians, and memory is private memory at
its highest, over what the process had before.
"""

# What the validator imports when it needs it is there before the clock starts.
import tqdm.auto  # noqa: F401
from big_file import compare_sizes, options_of, unpickle

import pysklnb

WAYS = {"validate": pysklnb.validate, "pickle": unpickle}


def main():
    options = options_of(__doc__, WAYS)
    print(f"{'protocol':8}  {'size':>5}  {'MB':>6}  {'validate':>18}  {'pickle':>18}  {'time':>6}  {'a clip':>8}")
    for protocol in (2, 4):
        for clips, found, row in compare_sizes(__file__, WAYS, options, protocol):
            ours, theirs = found["validate"][0], found["pickle"][0]
            print(f"{row}  {ours / theirs:5.2f}x  {ours / clips * 1e6:5.0f} µs", flush=True)


if __name__ == "__main__":
    main()
