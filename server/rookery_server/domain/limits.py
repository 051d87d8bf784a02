"""Every limit, once, each with its reason.  Boundary tests read these constants."""

from __future__ import annotations

# --- text -------------------------------------------------------------------------------------------------
TWEET_WEIGHT = 280
"""What the field's users expect (twitter-text v3 weights)."""
TWEET_RAW_BYTES = 4096
"""Checked before anything else, so the work a text can cause is bounded."""
USERNAME_CHARS = 15
DISPLAY_NAME_CHARS = 50
BIO_CHARS = 160
LOCATION_CHARS = 30
URL_CHARS = 100
MEDIA_REFERENCES = 4
"""What a post shows side by side."""
MEDIA_REFERENCE_CHARS = 512
"""Room for any object store's URL; four of them stay far below a row's kilobytes."""
COMBINING_RUN = 16
"""Combining marks on one base; the longest run in real orthographies is below ten."""
URL_WEIGHT = 23
"""What a URL counts however long it is: `transformedURLLength` of twitter-text v3."""
EMOJI_PARTS = 6
"""Pictographs joined into one emoji: four is the longest recommended sequence, so two are room to grow."""

# --- requests -----------------------------------------------------------------------------------------------
BATCH_IDS = 100
"""One unbounded batch RPC took a large network down for hours."""
PAGE_DEFAULT, PAGE_MAX = 20, 100
LIST_PAGE_DEFAULT, LIST_PAGE_MAX = 50, 1000
REQUEST_BYTES = 256 * 1024
REPLY_BYTES = 4 * 1024 * 1024
METADATA_BYTES = 16 * 1024
READ_DEADLINE_S, WRITE_DEADLINE_S, MAX_DEADLINE_S = 1.0, 2.0, 30.0
MIN_READ_LEFT_S, MIN_WRITE_LEFT_S = 0.010, 0.050
"""Less than this left at the door cannot finish: refused before any work."""
DEADLINE_SPARE_S, DEADLINE_SPARE_SHARE = 0.020, 0.1
"""Kept back of what is left (the larger of both) when a deadline is passed down: the answer needs time to get back."""
STARTED_WRITE_S = 5.0
"""A started write runs on, shielded from its caller, for at most this long."""
REQUEST_ID_LIFE_S = 24 * 3600
ID_AHEAD_MS = 60_000
"""An id from further ahead than this was never minted: far above what two clocks within their bound can differ."""
ACKED_REQUESTS_KEPT = 4096
"""Request ids a server remembers as acked, so that a burst of repeats is one event: the writes of seconds."""
NAME_CLAIM_LIFE_S = 3600
"""A claim of a name without an account may be taken over after this: longer than any sign-up can be under way."""
KNOWN_USERS_KEPT = 100_000
"""Ids a server remembers as existing accounts (a few MB); an account never ceases to exist."""

# --- streams (configurable) -----------------------------------------------------------------------------------
STREAM_MAX_AGE_S = 3600.0
"""Then the client resumes, perhaps on another server: so load spreads again after a restart."""
STREAM_AGE_LEAST = 0.8
"""Of that age: streams that were all opened after a restart must not all end, and read a page, at once."""
STREAM_RETRY_S = 2.0
"""Within this time the streams of a server that drains come back elsewhere, each at a moment of its own."""
STREAM_HEARTBEAT_S = 15.0
"""Below the half minute after which proxies drop what is silent."""
STREAM_POLL_S = 1.0
"""One look at the heads of all streams of a server."""
STREAMS_PER_USER = 4
"""On one server: a phone, a tablet, a desk and one that has not noticed yet that it is gone."""
STREAM_SENT_KEPT = 512
"""Ids a resume token carries: what a home gets in seventeen seconds, by far; beyond it a resume repeats, and loses
nothing."""
STREAM_READS = 16
"""Pages a server reads for its streams at a time: when somebody posts whom all of them follow."""
STREAM_SLOW_S = 10.0
"""Whoever does not take a message for so long is told to come back."""

# --- accounts -----------------------------------------------------------------------------------------------
COPY_LIFE_S = 1.0
"""How long a server's own copy is good for, counted from before it was read; a settled change waits this long."""
COPY_WAIT_S = 1.05
"""That wait: the twentieth more is for monotonic clocks that do not run quite alike, and timers that ring early."""
STANDINGS_KEPT = 50_000
"""Own copies of accounts' standing: what a second's reads can ask for (a few MB)."""
ACCOUNT_BEGIN_MS = 1_000
"""A change of an account begins while its event is younger than this: the two seconds of a compare-and-set are left
of an attempt's life."""
ACCOUNT_TRIES = 3
"""Of a change of state that met another change of the same account: two at once are rare, four are a fight."""

# --- graph --------------------------------------------------------------------------------------------------
FOLLOWING_BASE = 5_000
FOLLOWING_PER_FOLLOWER = 1.1
"""Above the base one may follow 1.1 × one's own followers."""
FOLLOWING_COUNTED_FROM = FOLLOWING_BASE * 9 // 10
"""Below this a count a minute old is good enough to judge the cap by."""
FOLLOWING_COUNT_LIFE_S = 60.0
FOLLOWING_MAX = 10_000
"""Bounds every build."""
REMOVED_EDGE_LIFE_S = 8 * 86400
"""A removed edge keeps its row, and with it its version, longer than any replay can come."""
EDGE_CERTAIN_AFTER_S = 2 * 86400
"""An edge older than this has its mirror and its event applied, however late its batch came: the last audit of a window
is a day after it closed."""
BLOCKERS_CARRIED = 1_000
"""Who blocks a viewer is part of the viewer's relations up to so many (8 KB read with every page); whoever is blocked
by more has the store asked for the accounts of each page."""
ROWS_A_PAGE = 5_000
"""Narrow rows of one read where no turns are taken: whom an ordinary account follows (FOLLOWING_BASE) is one trip of a
cold home, and not ten after one another."""
FOLLOWER_PAGE = 250
"""Rows of one fan-out page: some 10 µs each in the store, so whoever comes waits for 3 ms of it and not for 50.  A page
costs 2 ms besides, so pages of half the size would cost a third more."""
DELIVERIES_A_TURN = 250
"""Of a page, before others have their turn: 5 µs each in Python, so whoever comes waits for 1 or 2 ms and not for
25."""

# --- home lists ---------------------------------------------------------------------------------------------
HOME_KEPT, HOME_TRIM_AT = 800, 864
"""Depth users reach; the slack of 64 makes a trim cost one command in 64 pushes."""
AUTHOR_KEPT, AUTHOR_TRIM_AT = 200, 232
PULLED_LISTS_KEPT = 1_000
"""Own copies of lists that readers merge: more than an installation has such authors who are read every second; 200 ids
each are a few MB."""
LIST_LIFE_S = 7 * 86400
LIST_REFRESH_S = 86400
RELATIONS_LIFE_S = 3600
BODY_LIFE_S = 86400
DELETED_LIFE_S = 2 * 3600
"""At least an hour: longer than any cache fill can be under way."""
BUILD_TOKEN_LIFE_S = 60
BUILD_STORE_WITHIN_S = 3.0
"""A build that took longer is served and not stored (part of the D = 10 s bound)."""
BUILDS_PER_PROCESS = 32
MERGES_PER_PROCESS = 16
INNER_READS = 16
"""Reads one call keeps in flight against the store."""
AUTHORS_A_WAVE, WAVES = 128, 2
"""Author lists a build loads together: a few requests to each engine for all of them, and a few tens of ms, far below
BUILD_STORE_WITHIN_S, so that what a slow build loaded is kept.  While one wave waits the other is worked on."""
MAX_ROUNDS = 10
"""Refills of one page after filtering."""
SLOT_WAIT_S = 0.2
"""How long a read waits for a free build or merge: a fifth of its default deadline, so a refusal still leaves time to
ask another host."""
SLICE_EXTRA = 64
"""Positions a first slice reads beyond twice the page: what busy homes get in D seconds, for the price of one read."""
GATHER_MIN, GATHER_FACTOR = 8, 3
"""A build first reads max(8, 3 × 800 / followees) ids of each author: three times their even share, since posting is
uneven, and never so few that one burst needs a second round."""

# --- time ---------------------------------------------------------------------------------------------------
ORDER_SLACK_MS = 10_000
"""D: no entry of a list stands above one more than this much newer."""
PLAIN_PUSH_MS = 2_000
"""Only an id younger than this is pushed plainly; anything later is put in its place by a script."""
ATTEMPT_LIFE_MS = 3_000
"""A write attempt ends this long after its event id was minted, driver time-out included."""
CLOCK_BOUND_MS = 1_000
"""A process whose clock is further from the median of the coordinators neither mints nor works."""
WATERMARK_LAG_MS = ATTEMPT_LIFE_MS + 2 * CLOCK_BOUND_MS
"""W = start of the poll minus this: life of an attempt + what two clocks may differ."""
REREAD_MS = 10_000
"""Every poll reads the last ten seconds again."""
LOG_DAYS = 7
"""The life of the log: an event is gone after it, and lists from before it are built anew by then."""
DEGRADED_AFTER_MS = 20_000
MARKS_PERIOD_S = 0.5
"""How often a server reads the watermarks of every primary."""
MARKS_GOOD_FOR_S = 2.0
"""Marks read longer ago vouch for nothing: a primary may have failed since, and its successor lacks what they spoke of.
Less than any sensible node time-out, before which nobody is promoted."""
FILL_MAX_AGE_S = 5.0
"""A cache fill of data read longer ago is dropped."""
SETTLE_WAIT_MS = 200
"""How long a removal waits for the replicas' confirmation."""

# --- ids and leases -----------------------------------------------------------------------------------------
SEQUENCE_PER_MS = 1_000
"""Of 4,096: so the sequence fits into the microseconds of a write timestamp."""
CEILING_AHEAD_MS = 30_000
LEASE_FREE_AFTER_S = 30.0
SHARD_LEASE_FREE_AFTER_S, SHARD_LEASE_RENEW_S = 10.0, 3.0
STEP_BACK_WAIT_MS = 10
"""A step back of the wall clock up to this is waited out; a larger one refuses ids."""
WALL_JUMP_MS = 1_000
"""Wall against monotonic clock: a larger jump means "lease lost"."""

# --- quotas (not for credentials with scope `bulk`) -----------------------------------------------------------
TWEETS_PER_3H = 300
FOLLOWS_PER_DAY = 400
ACCOUNT_CHANGES_PER_DAY = 100
"""Edits of the profile, protecting, leaving and coming back: far more than anybody means to do by hand, and each is a
compare-and-set and an event."""
RENAMES_PER_WEEK = 5
"""Every name an account ever took stays reserved for it for ever, so this bounds how many it can hoard; enough for a
slip of the hand and a change of mind."""
BLOCKS_PER_DAY = 1_000
"""Blocks and mutes together.  Whoever is attacked by a crowd imports a block list of hundreds; a thousand a day still
bounds what one's relations grow to, which are read with every page."""
QUOTA_SUBJECTS = 100_000
"""Users one server counts for at a time (a few tens of MB)."""

# --- fan-out tiers (configurable) -----------------------------------------------------------------------------
BROAD_FROM, PULL_FROM = 10_000, 1_000_000

# --- counts ---------------------------------------------------------------------------------------------------
COUNT_PAUSE_MOST_S = 45.0
"""The longest pause between two counts of one thing: with the count itself below the minute in which it gets exact."""
COUNT_PAUSE_PER_ROW_S = 0.0002
"""Reading a row takes 2 µs: so counting costs about a hundredth of a process's time however large an account is."""
