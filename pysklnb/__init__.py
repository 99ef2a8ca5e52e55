"""Open, describe and see skeleton-based action recognition data: see README.md, and `notebooks/`."""

from . import drawing as plot
from . import layouts
from .cards import catalog
from .compression import compress, decompress
from .dataset import Dataset, load, save
from .kpfiles import KpfileStore, write_kpfiles
from .measures import quality
from .samples import find, sample
from .sources import FormatError, UnsafePickleError
from .validation import validate

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "FormatError",
    "KpfileStore",
    "UnsafePickleError",
    "catalog",
    "compress",
    "decompress",
    "find",
    "layouts",
    "load",
    "plot",
    "quality",
    "sample",
    "save",
    "validate",
    "write_kpfiles",
]
