"""Gold: what alerts said, to whom it was sent, and what is silenced."""

from lakehouse.tables.declaration import Table, columns

ALERT_EVENT = Table(
    "gold",
    "alert_event",
    "A change of an alert, a reminder of it, or another severity; written before it is sent",
    ("event_id",),
    columns("""
        event_id       string             Digest of the alert, its number and what is said
        fingerprint    string             Of the alert: a rule on a subject
        sequence       bigint             Number of the event among those of its alert, from 0
        rule           string             Name of the rule
        labels         map<string,string> Subject: alertname, model, column, slice
        kind           string             firing, no_data, resolved, reminder, severity or flapping
        status         string             ok, firing or no_data: what is true from now on
        severity       string             info, warning, error or critical
        as_of          timestamp          When it was evaluated: newest data, or the wall clock
            where the rule looks at that
        window_start   timestamp          Window that decided; as_of where the rule has none
        window_end     timestamp          Its end
        began_at       timestamp          End of the window since which the alert has been open
        figures        map<string,double> Metrics of the rule in that window
        summary        string             What is the matter, in words
        runbook        string             Address of what to do
        link           string             Page to look at
        held           string             Why it is not sent: passed (over before anybody could be
            told), flapping, silenced or inhibited; NULL where it is sent
        table_versions map<string,bigint> Delta versions read
        recorded_at    timestamp          Wall-clock time
    """),
    from_driver=True,
)
ALERT_DELIVERY = Table(
    "gold",
    "alert_delivery",
    "An attempt to send an event of an alert or of a ledger to a channel",
    ("event_id", "channel", "attempt"),
    columns("""
        event_id     string    As in gold.alert_event; of an event of a ledger, the ledger, its
            row's time and digest
        channel      string    Name of the channel
        attempt      bigint    Its number, from 1
        outcome      string    delivered, retry, dead_letter (the receiver refuses it, or it became
            too old), dropped (nothing there to resolve), or begun (from the time in event_id on
            the channel is told of what ledgers say)
        http_status  int       Status of the answer, of a mail server its code; NULL where there was
            none
        detail       string    What it said, secrets left out
        next_try_at  timestamp When it is tried again; NULL where it is not
        attempted_at timestamp Wall-clock time
    """),
    from_driver=True,
)
ALERT_SILENCE = Table(
    "gold",
    "alert_silence",
    "A silence, or a change of it: of one id, the row that was recorded last counts",
    ("silence_id", "recorded_at"),
    columns("""
        silence_id  string             Names the silence
        matchers    map<string,string> Labels that an alert must have, all of them
        starts_at   timestamp          From when on it holds, wall-clock time
        ends_at     timestamp          Until when
        created_by  string             Who silenced
        comment     string             Why
        recorded_at timestamp          Wall-clock time
    """),
    from_driver=True,
)
