"""Annotation for Python: a call in, a result out."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

from hpc_connector.errors import BadInput
from hpc_connector.options import make_options
from hpc_connector.pipeline.call import call
from metabolite_annotation.options import PROGRAM, Options, choose_inputs
from metabolite_annotation.result import Result, load
from metabolite_annotation.run import run

__all__ = ["Result", "annotate", "load"]

File = str | PathLike[str]
NOT_CALLED = ("json", "plan", "encrypt_to")  # what the command alone has


def annotate(
    dataset: File,
    databases: File | Sequence[File],
    *,
    fdr: float = 0.5,
    out: File | None = None,
    comm: Any = None,
    **options: Any,
) -> Result:
    """Annotate an imaging dataset with the molecules of databases.

    The same search as ``metabolite-annotation run``, with the same numbers; and with
    `out` the same files. Isotope patterns are kept for later calls, as the command
    does, in ``~/.cache/hpc_connector`` or the folder ``pattern_cache``.

    Parameters
    ----------
    dataset
        The ``.imzML`` file, whose ``.ibd`` file stands beside it; or an object, such as
        ``s3://bucket/tissue.imzML``.
    databases
        Tables with the columns id, name and formula.
    fdr
        Greatest false discovery rate reported, 0 to 1, rounded to two digits.
    out
        Folder of the results, which is made. Without it they lie in a temporary folder
        for as long as the result is there; :meth:`Result.save` copies them.
    comm
        An mpi4py communicator whose ranks all call this, each getting the result; they
        need `out`. Without it this process works alone.
    options
        Others of the command, with ``_`` for ``-``: ``adducts="+H,+Na"``,
        ``resolving_power="140000@200"``, ``check=False``, ``threads=4``.

    Returns
    -------
    The annotations, their images, and the record of the run.

    Raises
    ------
    BadInput
        An input or option that cannot be used, which the message names. With several
        ranks one raises it, and the others ``RuntimeError``.
    KeyboardInterrupt
        The run was stopped, by Ctrl-C or a signal; with `out` it goes on where
        ``resume=True`` is given.

    Examples
    --------
    >>> import metabolite_annotation as ma
    >>> result = ma.annotate("tissue.imzML", databases=["lipids.tsv"], fdr=0.1)
    >>> result
    <tissue: 20 annotations (20 at 5 %, 20 at 10 %)>
    >>> best = result.annotations["formula"][0], result.annotations["adduct"][0]
    >>> best
    ('C23H42NO4P', '+H')
    >>> result.ion_image(*best).shape
    (15, 18)
    """
    for name in NOT_CALLED:
        if name in options:
            raise BadInput(f"{name}: it is for the command alone")
    given = {"quiet": True, **options, "dataset": dataset}
    given |= {"database": databases, "fdr": fdr}
    if out is not None:
        return _run(given, out, comm)
    if comm is not None and comm.size > 1:
        raise BadInput("out: expected a folder that all ranks see")
    return _run_aside(given)


def _run(given: dict[str, Any], out: File, comm: Any = None) -> Result:
    """Run a search in a folder; return what is found there."""
    options = make_options(Options, given | {"out": out})
    if call(run, options, choose_inputs, comm) == "stopped":
        raise KeyboardInterrupt(f"stopped; resume=True goes on with {options.out}")
    return load(options.out)


def _run_aside(given: dict[str, Any]) -> Result:
    """Run a search in a temporary folder, which goes with the result."""
    folder = Path(mkdtemp(prefix=f"{PROGRAM}-"))
    try:
        result = _run(given, folder)
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
    finalize(result, rmtree, folder, ignore_errors=True)
    return result
