"""Open, describe and see skeleton-based action recognition data: see README.md, and `notebooks/`."""

from . import drawing as plot
from . import layouts
from .cards import catalog
from .dataset import Dataset, load, save
from .samples import find, sample
from .sources import FormatError, UnsafePickleError
from .validation import quality, validate

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "FormatError",
    "UnsafePickleError",
    "catalog",
    "find",
    "layouts",
    "load",
    "plot",
    "quality",
    "sample",
    "save",
    "validate",
]
