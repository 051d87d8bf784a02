"""What can be set on a worker.  Defaults are those of an installation; tests shrink the times."""

from __future__ import annotations

from dataclasses import dataclass, field

from rookery_server.domain import limits
from rookery_server.domain.fanout import WITH_PULL, Crossing, Thresholds


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    reader: str = "fanout"
    """Name of this reader's progress in the log."""
    counts_reader: str = "counts"
    """The same for what is still to be counted."""
    thresholds: Thresholds = WITH_PULL
    crossing: Crossing = field(default_factory=Crossing)
    poll_every_s: float = 1.0
    """The bell brings latency; polling is the safety net, and all shards of a worker are polled in one burst."""
    links_every_s: float = 0.5
    clock_every_s: float = 5.0
    save_every_s: float = 5.0
    """How much of the log a successor reads for nothing at most."""
    lease_renew_s: float = limits.SHARD_LEASE_RENEW_S
    lease_free_after_s: float = limits.SHARD_LEASE_FREE_AFTER_S
    follower_page: int = limits.FOLLOWER_PAGE
    deliveries_a_turn: int = limits.DELIVERIES_A_TURN
    pages_at_once: int = 8
    """Follower pages pushed at a time: enough to keep every node's window full, few enough for turns to be short."""
    further_rest: float = 2.0
    """How long a fan-out rests before a further turn, in lengths of the turn before and the page's read, while others
    begin."""
    further_rest_until_s: float = 14.0
    """It rests no more when its event is so old: its own followers, the next event of its author and W wait for it, and
    when W is 20 s behind all homes are `degraded`."""
    further_pages_at_once: int = 2
    """Of those, for what is not an event's first: one alone waits for answers, more take the processor from others."""
    open_events_max: int = 5_000
    """A shard with more open events is not polled: memory is bounded, and W is held anyway."""
    audit_ages_s: tuple[float, float, float, float] = (30, 300, 4 * 3600, 24 * 3600)
    """After the end of a window.  Nothing bounds a batchlog replay or a hint."""
    audits_at_once: int = 10
    """Windows of one shard audited in one step, so that a hand-over does not read a day of log in a burst."""
    late_print_after_s: float = 60.0
    """Longer than a replica that can still be promoted lags behind its primary (rule D12)."""
    give_up_on_node_s: float = 3600.0
    """W waits this long for a node out of reach; one that far behind is flushed."""
    retry_first_s: float = 0.05
    retry_most_s: float = 5.0
    recover_most_s: float = 15.0
    """A recovery that did not help is tried again after the polls' period, then after twice that, up to this."""
    drain_s: float = 20.0
    """For the pages in hand when the process is told to end; whatever is not done then a successor does again."""
    recounts_at_once: int = 4
    """Enough for hundreds of small counts a second, few enough that a large one does not starve the log."""
    count_after_s: float = 5.0
    """What changes again within this is counted once."""
    count_within_s: float = limits.COUNT_PAUSE_MOST_S
    row_alarm_s: float = 600.0
    """An event whose row is still unreadable is logged loudly: no living coordinator has a batch that old under way."""
