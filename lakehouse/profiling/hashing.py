"""The hash by which theta sketches choose what they keep, of whole arrays at once."""

import numpy as np

SEED = 9001
"""DataSketches' default, which sketches must share to be merged."""

BLOCK = 16_384
"""Values hashed at once: as many as stay in the processor's cache."""

_LENGTH = np.uint64(8)
_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


def with_least_hashes(values: np.ndarray, n: int) -> np.ndarray:
    """The values with the n least hashes, or all if fewer: what a theta sketch of size n keeps.

    A sketch that sees these alone is the one that sees all, and a loop over them is short however
    many there are. Fast where the values are distinct, right where they are not.
    """
    if len(values) <= n:
        return values
    bits = _bits(values)
    hashes, places = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    limit = np.uint64(np.iinfo(np.uint64).max)
    for start in range(0, len(bits), BLOCK):
        new = theta_hashes(bits[start : start + BLOCK])
        under = np.flatnonzero(new <= limit)
        hashes = np.concatenate([hashes, new[under]])
        places = np.concatenate([places, under + start])
        if len(hashes) > 2 * n:
            hashes, places = _least(hashes, places, n)
            limit = hashes[-1]
    return values[_least(hashes, places, n)[1]]


def theta_hashes(bits: np.ndarray) -> np.ndarray:
    """Hash 64-bit values: the first half of MurmurHash3 x64 128, shifted by one bit.

    Source: Appleby, MurmurHash3.cpp, for keys of eight bytes.
    """
    key = bits * _C1
    key = (key << np.uint64(31)) | (key >> np.uint64(33))
    rest = np.uint64(SEED) ^ _LENGTH  # the second half, which keys of eight bytes leave as it was
    first = (rest ^ (key * _C2)) + rest
    return (_mixed(first) + _mixed(first + rest)) >> np.uint64(1)


def _mixed(bits: np.ndarray) -> np.ndarray:
    for factor in (_MIX1, _MIX2):
        bits = (bits ^ (bits >> np.uint64(33))) * factor
    return bits ^ (bits >> np.uint64(33))


def _bits(values: np.ndarray) -> np.ndarray:
    """As a sketch reads them: whole numbers of 64 bits, doubles with one zero and one NaN."""
    if values.dtype.kind != "f":
        return values.astype(np.int64).view(np.uint64)
    canonical = values.astype(np.float64) + 0.0  # minus zero plus zero is zero
    canonical[np.isnan(canonical)] = np.nan
    return canonical.view(np.uint64)


def _least(hashes: np.ndarray, places: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n least distinct hashes, rising, and their places."""
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    first = np.append(True, ranked[1:] != ranked[:-1])
    return ranked[first][:n], places[order][first][:n]
