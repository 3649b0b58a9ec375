"""Leases: who does a kind of work on a lakehouse that several machines reach.

The kernel's lock (`locks`) ends at the machine. A lease is a row in the lakehouse itself: who does
the work, and until when, unless it is renewed. Delta takes one of two commits that claim the same
lease, since each names the same application transaction. That transaction's version is the fencing
token: whoever takes a lease over has a greater one, and the process before writes no more once it
sees it.
"""

import atexit
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from lakehouse.errors import LockedError, StoreError
from lakehouse.instants import ARROW_MOMENT
from lakehouse.storage.delta.locks import described_process, in_words

SPAN = dt.timedelta(minutes=5)
"""How long a lease holds unless it is renewed; it is three times in that span."""
SKEW = dt.timedelta(minutes=1)
"""By how much the clocks of two machines may differ."""
_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("holder", pa.string()),
        ("until", ARROW_MOMENT),
    ]
)
_TIDIED_AFTER = 100  # commits
_TRIES = 10

Clock = Callable[[], dt.datetime]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class Lease:
    """The right to do a kind of work, as long as it is renewed.

    Attributes:
        root: of the lakehouse.
        kind: of work.
        now: the clock.
        token: of this holder, greater than that of any before; 0 as long as it holds nothing.
        until: when the right ends, unless it is renewed.
    """

    root: str
    kind: str
    now: Clock = _now
    token: int = 0
    until: dt.datetime | None = None
    _holder: str = field(default_factory=described_process, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self) -> None:
        """Take the lease.

        Raises:
            LockedError: another process holds it, or has just taken it.
        """
        table = _table(self.root)
        free_at, holder = _newest(table, self.kind)
        if free_at > self.now():
            raise LockedError(
                f"{self.root}: {self.kind} is being done by {in_words(holder)}; let it end, or "
                f"stop it; if it is gone, its lease ends at {free_at:%H:%M:%S} UTC"
            )
        token = 1 + _token(table, self.kind)
        if not self._write(token, self.now() + SPAN, least=token):
            raise LockedError(f"{self.root}: another process has just begun with {self.kind}")

    def renew(self) -> None:
        """Hold it for another span; it is lost where another process has taken it over."""
        with self._guard:
            if self.token and not self._write(self.token, self.now() + SPAN):
                self.token = 0

    def check(self) -> None:
        """See to it that this process still holds it.

        Raises:
            LockedError: it has ended, or another process has taken it over.
        """
        has_ended = self.until is None or self.until < self.now()
        if has_ended or _token(_table(self.root), self.kind) != self.token:
            raise LockedError(
                f"{self.root}: this process has lost its lease of {self.kind}; it writes no more, "
                "and another process goes on; see that it reaches the lakehouse all the time"
            )

    def release(self) -> None:
        """Let others have it at once."""
        with self._guard, suppress(DeltaError, OSError):
            if self.token:
                self._write(self.token, self.now() - SKEW)
                self.token = 0

    def _write(self, token: int, until: dt.datetime, least: int | None = None) -> bool:
        """Write the lease's row; whether no other process has taken it meanwhile.

        Args:
            token: of the row.
            until: when it ends.
            least: a token from which on it is another process's; any greater than `token` without.
        """
        name = _transaction_of(self.kind)
        row = {"kind": self.kind, "holder": self._holder, "until": until}
        rows = pa.Table.from_pylist([row], _SCHEMA)
        mine = CommitProperties(app_transactions=[Transaction(name, token)])
        for _ in range(_TRIES):
            table = _table(self.root)
            if _token(table, self.kind) >= (token + 1 if least is None else least):
                return False
            try:
                write_deltalake(
                    table,
                    rows,
                    mode="overwrite",
                    predicate=f"kind = '{self.kind}'",
                    commit_properties=mine,
                )
            except CommitFailedError:
                continue  # another process wrote meanwhile, perhaps of another kind
            self.token, self.until = token, until
            _tidy(table)
            return True
        return False


_held: list[Lease] = []  # by this process


def hold_leases(root: str, kinds: Iterable[str]) -> None:
    """Hold the leases of these kinds of work, renewed until this process ends.

    Raises:
        LockedError: another process holds one of them; none is held then.
    """
    taken: list[Lease] = []
    try:
        for kind in sorted(kinds):
            lease = Lease(root, kind)
            lease.take()
            taken.append(lease)
    except LockedError:
        for lease in taken:
            lease.release()
        raise
    if taken:
        _held.extend(taken)
        atexit.register(_release, taken)
        threading.Thread(target=_renew, args=(taken,), daemon=True).start()


def check_leases(root: str) -> None:
    """See to it that this process still holds every lease that it took of a lakehouse.

    Raises:
        LockedError: one is lost.
    """
    for lease in _held:
        if lease.root == root:
            lease.check()


def _renew(leases: list[Lease]) -> None:
    while True:
        time.sleep(SPAN.total_seconds() / 3)
        for lease in leases:
            # The store may be out of reach for a while: `check` tells when that was too long.
            with suppress(DeltaError, OSError):
                lease.renew()


def _release(leases: list[Lease]) -> None:
    for lease in leases:
        lease.release()


def _transaction_of(kind: str) -> str:
    return f"lease:{kind}"


def _table(root: str) -> DeltaTable:
    path = f"{root}/_system/lease"
    try:
        if DeltaTable.is_deltatable(path):
            return DeltaTable(path)
        with suppress(DeltaError):  # another process has just created it
            DeltaTable.create(path, _SCHEMA, mode="ignore")
        return DeltaTable(path)
    except (DeltaError, OSError) as error:
        raise StoreError(f"{path} cannot be opened: {error}; see to its store") from error


def _newest(table: DeltaTable, kind: str) -> tuple[dt.datetime, str]:
    """When the newest lease of a kind is free, and who holds it."""
    rows = table.to_pyarrow_table(filters=[("kind", "=", kind)]).to_pylist()
    if not rows:
        return dt.datetime.min.replace(tzinfo=dt.UTC), ""
    return rows[0]["until"] + SKEW, str(rows[0]["holder"])


def _token(table: DeltaTable, kind: str) -> int:
    """The greatest token of a kind; 0 before the first."""
    return table.transaction_version(_transaction_of(kind)) or 0


def _tidy(table: DeltaTable) -> None:
    """Keep the table small: it has a row for each kind; files of rows before are removed."""
    if table.version() % _TIDIED_AFTER:
        return
    with suppress(DeltaError, OSError):  # another process does it
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        table.create_checkpoint()
