"""The house rules for notebooks, read off their JSON.

nbval compares outputs, but passes a notebook that was never run, and says nothing of how one reads. A rule
takes a notebook and yields one sentence for each fault. `tests/test_notebooks.py` holds every notebook to
every rule; `tools/make_notebooks.py` tells the faults of what it has made.
"""

import ast
import json
import re
import statistics

TEMPLATE = "template.ipynb"

HEADINGS = ["What you will learn", "What you need", "Check yourself", "In practice", "Next"]
CODE_CELLS = range(12, 26)
MEDIAN_LINES, MOST_LINES = 4, 15
MOST_BYTES = 300_000

FORBIDDEN_CODE = {
    r"^\s*[!%]": "a shell command or a magic",
    r"get_ipython\(": "a shell command or a magic",
    r"^\s*from .+ import \*": "import *",
    r"\bsys\.path\b": "sys.path",
    r"(filterwarnings|simplefilter)\(\s*[\"']ignore": "warnings being ignored",
    r"\b(perf_counter|monotonic|time\.time|\.now|\.today)\b": "a clock",
    r"default_rng\(\s*\)|np\.random\.(?!default_rng|Generator)|^\s*import random": "unseeded random numbers",
}
ABSOLUTE_PATH = r"(?<![\w./:<])(/(home|mnt|opt|private|root|tmp|usr|Users|var)/|[A-Z]:\\)"


def cells(notebook, kind):
    """Yield place and text of the cells of one kind; places are counted from 1 over all cells."""
    for place, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == kind:
            yield f"cell {place}", "".join(cell["source"])


def outputs(notebook):
    """Yield place and output of all outputs."""
    for place, cell in enumerate(notebook["cells"], 1):
        for output in cell.get("outputs", []):
            yield f"cell {place}", output


def lines_of(code):
    return [line for line in code.splitlines() if line.strip()]


def named_by_number_and_words(notebook):
    name = notebook["path"].name
    if name != TEMPLATE and not re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", name):
        yield f"the name is {name!r}, not like '07_draw_a_clip.ipynb'"


def run_in_order(notebook):
    counts = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if counts != list(range(1, len(counts) + 1)):
        yield f"the execution counts are {counts}, not 1 to {len(counts)}: run `make notebooks`"


def without_errors_and_warnings(notebook):
    for place, output in outputs(notebook):
        if output["output_type"] == "error":
            yield f"{place} stores an error, {output['ename']}: catch it and print its message"
        if output.get("name") == "stderr":
            yield f"{place} stores something that was written to stderr: mend its cause"


def pictures_are_png(notebook):
    for place, output in outputs(notebook):
        for form in output.get("data", {}):
            if form.startswith(("image/", "video/", "application/")) and form != "image/png":
                yield f"{place} stores {form}: only PNG, text and HTML tables show everywhere"


def small_file(notebook):
    size = notebook["path"].stat().st_size
    if size > MOST_BYTES:
        yield f"the file has {size:,} bytes, more than {MOST_BYTES:,}: draw fewer or smaller pictures"


def clean_metadata(notebook):
    rest = notebook["metadata"]
    if set(rest) != {"kernelspec", "language_info"} or rest["language_info"] != {"name": "python"}:
        yield f"the metadata {sorted(rest)} hold more than kernel and language: run `make notebooks`"
    elif rest["kernelspec"]["name"] != "python3":
        yield f"the kernel is {rest['kernelspec']['name']!r}, not 'python3': run `make notebooks`"
    for place, cell in enumerate(notebook["cells"], 1):
        if set(cell["metadata"]) - {"jupyter", "tags"}:
            yield f"cell {place} has the metadata {sorted(cell['metadata'])}: run `make notebooks`"


def no_empty_cell(notebook):
    for kind in ("markdown", "code", "raw"):
        for place, text in cells(notebook, kind):
            if not text.strip():
                yield f"{place} is empty"


def runs_anywhere(notebook):
    for place, code in cells(notebook, "code"):
        for pattern, what in FORBIDDEN_CODE.items():
            if re.search(pattern, code, re.MULTILINE):
                yield f"{place} contains {what}"


def skips_nothing(notebook):
    for place, cell in enumerate(notebook["cells"], 1):
        marks = [*cell["metadata"].get("tags", []), "".join(cell["source"])]
        if any(re.search("nbval.skip", mark, re.IGNORECASE) for mark in marks):
            yield f"cell {place} is skipped by nbval"


def no_absolute_path(notebook):
    for place, cell in enumerate(notebook["cells"], 1):
        texts = ["".join(cell["source"])]
        for output in cell.get("outputs", []):
            texts += ["".join(output.get("text", ""))]
            texts += ["".join(data) for form, data in output.get("data", {}).items() if form.startswith("text/")]
        if any(re.search(ABSOLUTE_PATH, text) for text in texts):
            yield f"cell {place} shows an absolute path"


def headings_of_the_template(notebook):
    text = "\n\n".join(text for _, text in cells(notebook, "markdown"))
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)  # a comment there is no heading
    titles = re.findall(r"^# (.+)$", text, re.MULTILINE)
    if len(titles) != 1 or not text.startswith("# "):
        yield f"it has the titles {titles}, not one at its very start"
    elif not re.match(r"# .+\n\n\w", text):
        yield "no sentence follows the title to say what the reader will do"
    found = [heading for heading in re.findall(r"^## (.+)$", text, re.MULTILINE) if heading in HEADINGS]
    if found != HEADINGS:
        yield f"of the template's headings it has {found}, not {HEADINGS}"


def three_or_four_things_to_learn(notebook):
    for _, text in cells(notebook, "markdown"):
        _, heading, rest = text.partition(f"## {HEADINGS[0]}")
        items = re.findall(r"^[-*] ", rest.partition("\n## ")[0], re.MULTILINE)
        if heading and len(items) not in (3, 4):
            yield f"'{HEADINGS[0]}' lists {len(items)} things, not 3 or 4"


def one_import_cell(notebook):
    for number, (place, code) in enumerate(cells(notebook, "code"), 1):
        imports = [isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(code).body]
        if number == 1 and not all(imports):
            yield f"{place}, the first code cell, does more than import"
        if number > 1 and any(imports):
            yield f"{place} imports: that belongs into the first code cell"


def words_before_code(notebook):
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    for place, (before, kind) in enumerate(zip(["nothing", *kinds], kinds, strict=False), 1):
        if kind == "code" and before != "markdown":
            yield f"cell {place}, which is code, has no words before it"


def as_long_as_a_lesson(notebook):
    number = len(list(cells(notebook, "code")))
    if notebook["path"].name != TEMPLATE and number not in CODE_CELLS:
        yield f"it has {number} code cells, not {CODE_CELLS[0]} to {CODE_CELLS[-1]}"


def short_code_cells(notebook):
    lengths = {place: len(lines_of(code)) for place, code in cells(notebook, "code")}
    median = statistics.median(lengths.values())
    if median > MEDIAN_LINES:
        yield f"the median code cell has {median} lines, more than {MEDIAN_LINES}"
    for place, length in lengths.items():
        if length > MOST_LINES:
            yield f"{place} has {length} lines, more than {MOST_LINES}"


def early_picture(notebook):
    first = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][:3]
    if not any("image/png" in output.get("data", {}) for cell in first for output in cell["outputs"]):
        yield "none of the first three code cells shows a picture"


def folded_answers_that_assert(notebook):
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    starts = [place for place, text in enumerate(texts) if f"## {HEADINGS[2]}" in text]
    ends = [place for place, text in enumerate(texts) if f"## {HEADINGS[3]}" in text]
    if not (starts and ends):
        return  # the rule about headings says so
    answers = [
        (place, cell)
        for place, cell in enumerate(notebook["cells"][starts[0] : ends[0]], starts[0] + 1)
        if cell["cell_type"] == "code"
    ]
    if not answers:
        yield f"'{HEADINGS[2]}' has no answer that runs"
    for place, cell in answers:
        if not cell["metadata"].get("jupyter", {}).get("source_hidden"):
            yield f"cell {place}, an answer, is not folded (metadata jupyter.source_hidden)"
        if not isinstance(ast.parse("".join(cell["source"])).body[-1], ast.Assert):
            yield f"cell {place}, an answer, does not end in an assert"


def links_lead_somewhere(notebook):
    for place, text in cells(notebook, "markdown"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            if not (notebook["path"].parent / target).exists():
                yield f"{place} links to {target}, which is not there"


RULES = [
    named_by_number_and_words,
    run_in_order,
    without_errors_and_warnings,
    pictures_are_png,
    small_file,
    clean_metadata,
    no_empty_cell,
    runs_anywhere,
    skips_nothing,
    no_absolute_path,
    headings_of_the_template,
    three_or_four_things_to_learn,
    one_import_cell,
    words_before_code,
    as_long_as_a_lesson,
    short_code_cells,
    early_picture,
    folded_answers_that_assert,
    links_lead_somewhere,
]


def read(path):
    """Read a notebook for the rules: its JSON, and the path under ``"path"``."""
    return json.loads(path.read_text(encoding="utf-8")) | {"path": path}


def faults(path):
    """List all faults of a notebook, in sentences."""
    notebook = read(path)
    return [fault for rule in RULES for fault in rule(notebook)]
