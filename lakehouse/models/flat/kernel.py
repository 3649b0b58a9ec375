"""The one compiled function: all rows of a block step through a tree together.

Row by row, each step waits for the one before: its branch is a coin toss, and its loads depend on
each other. In a block the steps of different rows are independent, and there is no branch. A leaf
points to itself, so that rows that arrive early need no test. Where most rows have arrived, those
that have not are listed, and go on alone: boosting grows a few long branches in each tree.

numba is the extra `fast`: without it scikit-learn answers (docs/decisions/0020).
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np

Kernel: TypeAlias = Callable[..., None]
_BLOCK = 512


@cache
def is_installed() -> bool:
    """Return whether numba is there."""
    return find_spec("numba") is not None


@cache
def compiled() -> Kernel:
    """`add_leaves`, compiled at the first call for each type of number.

    numba keeps the compiled code beside Python's own, in `__pycache__`, or in the user's cache
    where that cannot be written: a process then takes half a second in place of three.

    Raises:
        ModuleNotFoundError: numba is not installed.
    """
    import numba

    try:
        return numba.njit(nogil=True, cache=True)(add_leaves)
    except RuntimeError:  # no folder can be written: each process compiles for itself
        return numba.njit(nogil=True)(add_leaves)


def is_loaded() -> bool:
    """Return whether this process has the kernel already."""
    return compiled.cache_info().currsize > 0


def add_leaves(  # noqa: PLR0913, PLR0917
    rows: np.ndarray,
    left: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    value: np.ndarray,
    root: np.ndarray,
    crowded: np.ndarray,
    depth: np.ndarray,
    column: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add each tree's leaves of all rows to the sums, tree after tree.

    Args:
        rows: rows × features, none missing.
        left, feature, threshold, value, root, crowded, depth, column: as in `Trees`.
        sums: outputs × rows; written to.
    """
    at = np.empty(_BLOCK, np.uint32)
    late = np.empty(_BLOCK, np.uint32)
    # Unsigned places: numba would look at each signed one whether it counts from the end.
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        for tree in range(len(root)):
            at[:] = root[tree]
            for _ in range(crowded[tree]):
                for row in range(len(block)):
                    node = np.uintp(at[row])
                    number = block[np.uintp(row), np.uintp(feature[node])]
                    at[row] = left[node] + np.uint32(number > threshold[node])
            n_late = np.uintp(0)
            for row in range(len(block)):
                late[n_late] = row
                n_late += np.uintp(left[np.uintp(at[row])] != at[row])
            for _ in range(depth[tree] - crowded[tree]):
                for place in range(n_late):
                    late_row = np.uintp(late[np.uintp(place)])
                    node = np.uintp(at[late_row])
                    number = block[late_row, np.uintp(feature[node])]
                    at[late_row] = left[node] + np.uint32(number > threshold[node])
            for output in range(value.shape[1]):
                for row in range(len(block)):
                    leaf = np.uintp(at[row])
                    sums[column[tree] + output, start + row] += value[leaf, np.uintp(output)]
