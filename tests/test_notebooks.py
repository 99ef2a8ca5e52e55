"""All notebooks keep the house rules; every rule can fail; nbval sees what the rules cannot."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import make_notebooks
import notebook_rules as rules
import pytest
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_notebook_keeps_the_rule(rule, path):
    assert list(rule(rules.read(path))) == []


def test_the_template_is_in_the_set():
    assert rules.TEMPLATE in [path.name for path in NOTEBOOKS]


# --- each rule can fail


def markdown(text):
    return {"cell_type": "markdown", "id": "words", "metadata": {}, "source": text}


def code(text, count, *results, **metadata):
    return {
        "cell_type": "code",
        "id": f"code-{count}",
        "metadata": metadata,
        "source": text,
        "execution_count": count,
        "outputs": list(results),
    }


def shown(form, data):
    return {"output_type": "display_data", "metadata": {}, "data": {form: data}}


def printed(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


SECTION = [
    cell for count in range(2, 12) for cell in (markdown("Look:"), code("picture", count, shown("image/png", "iVBO")))
]
GOOD = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    },
    "cells": [
        markdown("# Count to two\n\nYou will count.\n\n## What you will learn\n\n- one\n- two\n- three"),
        markdown("## What you need\n\nTwo hands. [The other one](01_good.ipynb)."),
        code("import pysklnb", 1),
        *SECTION,
        markdown("## Check yourself\n\nHow many?"),
        code("answer = 2\nassert answer == 2", 12, jupyter={"source_hidden": True}),
        markdown("## In practice\n\n```python\n# no title\n```\n\n## Next\n\nThree."),
    ],
}
TITLE, NEED, IMPORTS, WORDS, PICTURE, ANSWER = 0, 1, 2, 3, 4, 24  # places of cells in GOOD


@pytest.fixture
def good(tmp_path):
    """A notebook that keeps every rule."""
    path = tmp_path / "01_good.ipynb"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    return rules.read(path)


def edited(place, source=None, **changes):
    """Break a notebook in one cell."""

    def breaking(notebook):
        notebook["cells"][place].update(changes if source is None else {"source": source})

    return breaking


def giving(*outputs):
    """Break a notebook by what one cell gives."""
    return edited(PICTURE, outputs=list(outputs))


def with_metadata(**metadata):
    return lambda notebook: notebook["metadata"].update(metadata)


def without(place, number=1):
    def breaking(notebook):
        del notebook["cells"][place : place + number]

    return breaking


def renamed(notebook):
    notebook["path"] = notebook["path"].with_name("Untitled.ipynb")


def grown(notebook):
    notebook["path"].write_bytes(b" " * 300_001)


def wordy(notebook):
    for cell in notebook["cells"]:
        cell["source"] = "a\nb\nc\nd\n\ne"


def blind(notebook):
    for cell in notebook["cells"]:
        cell["outputs"] = []


# For each rule: how a notebook is broken, and what the rule then says.
BROKEN = {
    rules.named_by_number_and_words: [(renamed, "the name is 'Untitled.ipynb'")],
    rules.run_in_order: [
        (edited(PICTURE, execution_count=None), r"counts are \[1, None, 3, .* 12\], not 1 to 12"),
        (edited(PICTURE, execution_count=7), r"counts are \[1, 7, 3, "),
    ],
    rules.without_errors_and_warnings: [
        (giving({"output_type": "error", "ename": "OSError"}), "cell 5 stores an error, OSError"),
        (giving(printed("careful", name="stderr")), "cell 5 stores something that was written to stderr"),
    ],
    rules.pictures_are_png: [
        (giving(shown("image/svg+xml", "<svg/>")), r"cell 5 stores image/svg\+xml"),
        (giving(shown("video/mp4", "AAAA")), "cell 5 stores video/mp4"),
    ],
    rules.small_file: [(grown, "the file has 300,001 bytes, more than 300,000")],
    rules.clean_metadata: [
        (with_metadata(widgets={}), r"\['kernelspec', 'language_info', 'widgets'\] hold more"),
        (with_metadata(language_info={"name": "python", "version": "3.11.7"}), "hold more"),
        (with_metadata(kernelspec={"name": "mine"}), "the kernel is 'mine', not 'python3'"),
        (edited(PICTURE, metadata={"execution": {}}), r"cell 5 has the metadata \['execution'\]"),
    ],
    rules.no_empty_cell: [(edited(PICTURE, "\n"), "cell 5 is empty"), (edited(WORDS, ""), "cell 4 is empty")],
    rules.runs_anywhere: [
        (edited(PICTURE, "!ls"), "cell 5 contains a shell command or a magic"),
        (edited(PICTURE, "x = 1\n%pip install numpy"), "contains a shell command or a magic"),
        (edited(PICTURE, "get_ipython().system('ls')"), "contains a shell command or a magic"),
        (edited(PICTURE, "from numpy import *"), r"contains import \*"),
        (edited(PICTURE, "sys.path.append('..')"), r"contains sys\.path"),
        (edited(PICTURE, 'warnings.filterwarnings("ignore")'), "contains warnings being ignored"),
        (edited(PICTURE, "time.perf_counter()"), "contains a clock"),
        (edited(PICTURE, "datetime.now()"), "contains a clock"),
        (edited(PICTURE, "np.random.default_rng()"), "contains unseeded random numbers"),
        (edited(PICTURE, "np.random.rand(3)"), "contains unseeded random numbers"),
    ],
    rules.skips_nothing: [
        (edited(PICTURE, metadata={"tags": ["nbval-skip"]}), "cell 5 is skipped by nbval"),
        (edited(PICTURE, "# NBVAL_SKIP\n1"), "cell 5 is skipped by nbval"),
    ],
    rules.no_absolute_path: [
        (edited(PICTURE, "load('/home/me/x.pkl')"), "cell 5 shows an absolute path"),
        (giving(printed("saved as /tmp/x.pkl")), "cell 5 shows an absolute path"),
        (giving(shown("text/html", "<b>C:\\me</b>")), "cell 5 shows an absolute path"),
    ],
    rules.headings_of_the_template: [
        (edited(TITLE, "Words\n\n# Count\n\n## What you will learn"), "not one at its very start"),
        (edited(WORDS, "# Another title"), r"the titles \['Count to two', 'Another title'\]"),
        (edited(TITLE, "# Count\n\n## What you will learn"), "no sentence follows the title"),
        (edited(NEED, "Two hands."), r"it has \['What you will learn', 'Check yourself', "),
    ],
    rules.three_or_four_things_to_learn: [
        (edited(TITLE, "# Count\n\n## What you will learn\n\n- one"), "lists 1 things, not 3 or 4"),
    ],
    rules.one_import_cell: [
        (edited(IMPORTS, "import numpy\nx = 1"), "cell 3, the first code cell, does more than import"),
        (edited(PICTURE, "import numpy"), "cell 5 imports"),
    ],
    rules.words_before_code: [(without(WORDS), "cell 4, which is code, has no words before it")],
    rules.as_long_as_a_lesson: [(without(WORDS, 2), "it has 11 code cells, not 12 to 25")],
    rules.short_code_cells: [
        (wordy, "the median code cell has 5.0 lines, more than 4"),
        (edited(PICTURE, "n\n" * 16), "cell 5 has 16 lines, more than 15"),
    ],
    rules.early_picture: [(blind, "none of the first three code cells shows a picture")],
    rules.folded_answers_that_assert: [
        (without(ANSWER), "'Check yourself' has no answer that runs"),
        (edited(ANSWER, metadata={}), "cell 25, an answer, is not folded"),
        (edited(ANSWER, "2"), "cell 25, an answer, does not end in an assert"),
    ],
    rules.links_lead_somewhere: [
        (edited(WORDS, "[Next](02_gone.ipynb#top)"), r"cell 4 links to 02_gone\.ipynb, which is not there"),
    ],
}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_breaks_no_rule(rule, good):
    assert list(rule(good)) == []


@pytest.mark.parametrize(
    ("rule", "breaking", "message"),
    [
        pytest.param(rule, breaking, message, id=f"{rule.__name__}-{number}")
        for rule, cases in BROKEN.items()
        for number, (breaking, message) in enumerate(cases)
    ],
)
def test_a_broken_notebook_is_told_its_fault(rule, breaking, message, good):
    breaking(good)
    (fault,) = rule(good)
    assert re.search(message, fault)


def test_every_rule_has_been_seen_to_fail():
    assert set(BROKEN) == set(rules.RULES)


# --- nbval, as `make notebook-test` calls it


FIGURE = shown("image/png", "iVBO")
FIGURE["data"]["text/plain"] = "<Figure size 512x384 with 0 Axes>"
NBVAL_CELLS = [
    ("address-differs", "passed", code("print(object())", 1, printed("<object object at 0x7f0123456789>\n"))),
    ("never-run", "passed", code("print('new')", None)),  # why `run_in_order` is a rule
    ("stale-output", "failed", code("print('fresh')", 3, printed("stale\n"))),
    ("stripped-output", "failed", code("print('printed')", 4)),
    ("exception", "failed", code("1 / 0", 5)),
    ("warning", "failed", code("import warnings\nwarnings.warn('careful')", 6)),
    (
        "figure-of-80-dpi-and-semicolon",
        "passed",
        code("import matplotlib.pyplot\nmatplotlib.pyplot.figure();", 7, FIGURE),
    ),
]


@pytest.fixture(scope="module")
def nbval_report(tmp_path_factory):
    """What nbval says of these cells under the settings of the set and the options of the Makefile."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "notebooks", project / "notebooks", ignore=shutil.ignore_patterns("*.ipynb"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, project)
    notebook = GOOD | {"cells": [cell for _, _, cell in NBVAL_CELLS]}
    (project / "notebooks" / "cells.ipynb").write_text(json.dumps(notebook), encoding="utf-8")

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    options = re.search(r"/pytest (--nbval .*)\n", makefile).group(1).split()
    command = [sys.executable, "-m", "pytest", "-rA", "--color=no", *options]
    return subprocess.run(command, cwd=project, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [pytest.param(n, outcome, id=name) for n, (name, outcome, _) in enumerate(NBVAL_CELLS)],
)
def test_nbval_tells_a_good_cell_from_a_bad_one(number, outcome, nbval_report):
    pattern = rf"^{outcome.upper()} .*cells\.ipynb::Cell {number}\b"
    assert re.search(pattern, nbval_report.stdout, re.MULTILINE), nbval_report.stdout
    assert nbval_report.returncode == pytest.ExitCode.TESTS_FAILED


# --- `make notebooks`


@pytest.fixture
def unmade(tmp_path):
    """Write a notebook of a few cells as an editor leaves it: not run, with metadata of its own."""

    def write(*sources):
        path = tmp_path / "01_unmade.ipynb"
        cells = [code(source, None, execution={"busy": 1}) | {"id": f"c{n}"} for n, source in enumerate(sources)]
        path.write_text(
            json.dumps(GOOD | {"cells": cells, "metadata": {"widgets": {}, "language_info": {"name": "python"}}})
        )
        return path

    return write


def test_a_made_notebook_is_clean_and_making_it_again_changes_nothing(unmade):
    path = unmade("from ipywidgets import IntSlider", "print('a')\nprint('b')", "IntSlider()")
    make_notebooks.make(path)
    made = path.read_bytes()
    notebook = rules.read(path)
    assert list(rules.clean_metadata(notebook)) == []
    assert list(rules.run_in_order(notebook)) == []
    (text,) = notebook["cells"][1]["outputs"]
    assert text["text"] == ["a\n", "b\n"]
    (widget,) = notebook["cells"][2]["outputs"]
    assert set(widget["data"]) == {"text/plain"}

    make_notebooks.make(path)
    assert path.read_bytes() == made


def test_a_notebook_that_raises_is_left_as_it_was(unmade):
    path = unmade("1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        make_notebooks.make(path)
    assert path.read_bytes() == before
