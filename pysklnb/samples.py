"""Data by name: the bundled miniatures, and the real files where the reader has them."""

from __future__ import annotations

import os
from pathlib import Path

from .cards import MINIATURES, catalog, unknown_name

# The kpfiles of Kinetics-400 are a folder beside the index `k400_hrnet`, so they have no card.
_KPFILES = "k400_kpfiles"


def sample(name: str) -> Path:
    """Give the path of a bundled miniature: a small file in the real file's form.

    The motion in it is synthetic; no person was recorded. Ids, splits and labels follow the rules of
    the real data set.

    Parameters
    ----------
    name : str
        A name of the catalogue, or ``"k400_kpfiles"`` for a folder with two kpfiles.

    Returns
    -------
    pathlib.Path
        A file that is part of the installed package: read it, do not write to it.

    Raises
    ------
    KeyError
        There is no data set of that name; the nearest names are listed.
    FileNotFoundError
        The data set is known, but no miniature of it is bundled; those that are bundled are listed.

    Examples
    --------
    >>> pysklnb.sample("ntu60_hrnet").name
    'ntu60_hrnet.pkl'
    """
    path = MINIATURES / _entry(name)
    if not path.exists():
        raise FileNotFoundError(f"no miniature of {name} is bundled; bundled are {', '.join(_bundled())}.")
    return path


def find(name: str) -> Path:
    """Give the path of the real file where the reader has it, of the miniature otherwise; say which.

    The real file is looked for in the folder that the environment variable ``PYSKLNB_DATA`` names.

    Parameters
    ----------
    name : str
        A name of the catalogue, or ``"k400_kpfiles"`` for the folder of kpfiles.

    Returns
    -------
    pathlib.Path
        A file, or a folder for ``"k400_kpfiles"``.

    Raises
    ------
    KeyError
        There is no data set of that name; the nearest names are listed.
    FileNotFoundError
        ``PYSKLNB_DATA`` names no folder, or there is neither the real file nor a miniature.

    Examples
    --------
    >>> path = pysklnb.find("ntu60_hrnet")  # doctest: +NORMALIZE_WHITESPACE
    ntu60_hrnet: the bundled miniature (synthetic motion);
    set PYSKLNB_DATA to the folder that holds ntu60_hrnet.pkl to use the real file
    """
    entry = _entry(name)
    folder = _data_folder()
    if folder is not None and (folder / entry).exists():
        print(f"{name}: the real file, {folder / entry}")
        return folder / entry
    if folder is None:
        advice = f"set PYSKLNB_DATA to the folder that holds {entry} to use the real file"
    else:
        advice = f"the folder in PYSKLNB_DATA, {folder}, holds no {entry}"
    try:
        path = sample(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} For the real file: {advice}.") from None
    print(f"{name}: the bundled miniature (synthetic motion); {advice}")
    return path


def _entry(name: str) -> str:
    """Name the file or folder in which a data set is kept, here and in ``PYSKLNB_DATA``."""
    if name == _KPFILES:
        return name
    if name in catalog:
        return f"{name}.pkl"
    raise unknown_name(name, [*catalog, _KPFILES])


def _bundled() -> list[str]:
    return [name for name in (*catalog, _KPFILES) if (MINIATURES / _entry(name)).exists()]


def _data_folder() -> Path | None:
    text = os.environ.get("PYSKLNB_DATA")
    if not text:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"PYSKLNB_DATA is {text!r}, and there is no such folder: set it to the folder that holds "
            "the downloaded files, or unset it to use the bundled miniatures."
        )
    return folder
