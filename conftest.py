"""What holds for every test: those of the package, its docstring examples, and the notebooks."""

import os
import sys

import pytest
from hypothesis import settings

# The same examples each time, on any machine: what is red here is red there.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_configure(config):
    # Neither a reader's own files nor a reader's own backend may change what tests and notebooks see.
    os.environ.pop("PYSKLNB_DATA", None)
    inline = config.getoption("nbval", default=False)
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline" if inline else "Agg"


@pytest.fixture(autouse=True)
def _close_figures():
    """Close what a test drew, so that no test sees another one's figure."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def _names_in_docstrings(doctest_namespace):
    """Let docstring examples start with `pysklnb` at hand, as a notebook does after its import cell."""
    import pysklnb

    doctest_namespace["pysklnb"] = pysklnb
