import pickle
import subprocess
import sys

import numpy as np
import pytest

from pysklnb.__main__ import main


def test_describe_prints_what_a_file_is(tmp_path, capsys):
    clip = {"frame_dir": "a", "label": 3, "total_frames": 2, "keypoint": np.zeros((1, 2, 17, 2))}
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([clip]))
    assert main(["describe", str(tmp_path / "data.pkl")]) == 0
    assert capsys.readouterr().out.startswith("data.pkl: 1 clip of 2D skeletons with 17 joints (coco)\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (pickle.dumps(print), "builtins.print"), (None, "no such file")],
    ids=["empty", "unsafe", "missing"],
)
def test_a_file_that_cannot_be_opened_gives_one_sentence_and_status_2(content, message, tmp_path, capsys):
    if content is not None:
        (tmp_path / "data.pkl").write_bytes(content)
    assert main(["describe", str(tmp_path / "data.pkl")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert "data.pkl" in printed.err


def test_the_module_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "pysklnb", "--help"], capture_output=True, text=True, check=True)
    assert "describe" in done.stdout
