"""Execute the notebooks and store them cleanly: ``python tools/make_notebooks.py [NOTEBOOK ...]``.

Without arguments all of ``notebooks/`` is made. What is written depends on the cells alone: running it
again gives the same bytes. A notebook that raises is left as it was.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from notebook_rules import faults

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def clean(notebook):
    """Drop what an editor or a run leaves in a notebook that is neither its text nor its outputs."""
    notebook.metadata.clear()
    notebook.metadata.kernelspec = {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        for key in set(cell.metadata) - {"jupyter", "tags"}:
            del cell.metadata[key]
        for output in cell.get("outputs", []):
            output.get("metadata", {}).clear()
            # A stored view is dead without its kernel; the other form of the same output is not.
            if len(output.get("data", {})) > 1:
                output.data.pop(WIDGET_VIEW, None)


def make(path):
    """Execute one notebook in its own folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=60,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    clean(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main(paths):
    # Stored outputs come from the miniatures, and pictures from the notebook's own backend.
    os.environ.pop("PYSKLNB_DATA", None)
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    for path in paths or sorted(NOTEBOOKS.glob("*.ipynb")):
        make(path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
        for fault in faults(path):
            print(f"  {fault}")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
