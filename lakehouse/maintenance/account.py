"""What maintenance did to a table, or would do, as values and in words. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakehouse.maintenance.retained import Kept

_NAMED = 3
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Extent:
    """How much a table has.

    Attributes:
        version: the newest one.
        files: of the newest version.
        on_disk: data files in its folder.
        log: files in its log.
        size: bytes of the latter two.
    """

    version: int
    files: int
    on_disk: int
    log: int
    size: int


@dataclass(frozen=True)
class Account:
    """What was done to a table, or would be.

    Attributes:
        table: `layer.name`.
        before: it had.
        after: it has, or would have.
        kept: the versions that stay.
        notes: what was not done, and why.
    """

    table: str
    before: Extent
    after: Extent
    kept: Kept
    notes: Sequence[str] = ()


def as_lines(accounts: Sequence[Account], is_dry: bool) -> list[str]:
    """Lines for each table that changes or keeps something for somebody, and one for all."""
    lines = [line for account in accounts for line in _of_table(account)]
    before = sum(account.before.size for account in accounts)
    after = sum(account.after.size for account in accounts)
    files = sum(a.before.on_disk + a.before.log - a.after.on_disk - a.after.log for a in accounts)
    verb = "would be" if is_dry else "were"
    total = f"{len(accounts)} tables: {files:,} files {verb} removed, "
    return [
        *lines,
        f"{total}{size_in_words(before)} {'become' if is_dry else 'became'} {size_in_words(after)}",
    ]


def _of_table(account: Account) -> Iterator[str]:
    before, after, kept = account.before, account.after, account.kept
    changes = [
        f"{name} {was:,} → {now:,}"
        for name, was, now in (
            ("files", before.files, after.files),
            ("on disk", before.on_disk, after.on_disk),
            ("log", before.log, after.log),
        )
        if was != now
    ]
    if before.size != after.size:
        changes.append(f"{size_in_words(before.size)} → {size_in_words(after.size)}")
    if not (changes or kept.pinned or account.notes or kept.gone):
        return
    yield f"{account.table}@{after.version}: {'; '.join(changes) or 'nothing to do'}"
    if kept.because != "age":
        yield f"  kept: @{kept.first} and later ones for {kept.because}"
    if kept.pinned:
        named = sorted(kept.pinned.items(), reverse=True)
        told = "; ".join(f"@{version} for {_who(who)}" for version, who in named[:_NAMED])
        more = len(named) - _NAMED
        yield f"  kept: {told}" + (f"; and {more} older versions" if more > 0 else "")
    if kept.gone:
        version = max(kept.gone)
        many = f" and {len(kept.gone) - 1} more" if len(kept.gone) > 1 else ""
        yield f"  gone before: @{version}, needed by {_who(kept.gone[version])}{many}"
    for note in account.notes:
        yield f"  {note}"


def _who(names: Sequence[str]) -> str:
    first, *others = dict.fromkeys(names)
    return f"{first} and {len(others)} more" if others else first


def size_in_words(size: float) -> str:
    """A number of bytes: 12 bytes, 3.4 MB.

    >>> size_in_words(12), size_in_words(3_400_000)
    ('12 bytes', '3.4 MB')
    """
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:,.0f} {_UNITS[unit]}" if unit == 0 else f"{size:,.1f} {_UNITS[unit]}"
