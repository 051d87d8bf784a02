"""Domain values to messages and back.  Nothing else of the server builds or reads a message of the contract."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from rookery.v1 import common_pb2, graph_pb2, timelines_pb2, tweets_pb2, users_pb2
from rookery_server.domain.errors import InvalidArgument, Violation
from rookery_server.domain.frames import frame
from rookery_server.domain.models import Entity, Profile, Reference, Reply, Tweet, User, UserState
from rookery_server.services.graph import Relationship
from rookery_server.services.pages import PageInfo, PageSource
from rookery_server.services.user_counts import Counts
from rookery_server.services.users import ShownUser

_RESULT_TWEET = b"\x12"  # field 2 of TweetResult, length-delimited


def timestamp(ms: int) -> Timestamp:
    """Of Unix milliseconds."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def time_given(of: Timestamp, field: str) -> int:
    """Unix milliseconds of a time in a request, never 0: inside that stands for "none given", and 1970 is as much past
    a millisecond later.  Raises InvalidArgument for what is no time (RFC 3339's range)."""
    try:
        return int(of.ToMilliseconds()) or 1
    except ValueError as error:
        raise InvalidArgument(Violation(field, "time", "is not a time")) from error


def maybe_timestamp(ms: int | None) -> Timestamp | None:
    """Absent for None and for 0, which stands for "never"."""
    return timestamp(ms) if ms else None


# --- users ------------------------------------------------------------------------------------------------------


_STATES = {
    UserState.ACTIVE: users_pb2.USER_STATE_ACTIVE,
    UserState.DEACTIVATED: users_pb2.USER_STATE_DEACTIVATED,
    UserState.SUSPENDED: users_pb2.USER_STATE_SUSPENDED,
    UserState.DEACTIVATED_AND_SUSPENDED: users_pb2.USER_STATE_SUSPENDED,
}


def user(of: User) -> users_pb2.User:
    """Without what is for some callers only."""
    return users_pb2.User(
        id=of.id,
        username=of.username,
        profile=users_pb2.Profile(
            display_name=of.profile.display_name,
            bio=of.profile.bio,
            location=of.profile.location,
            url=of.profile.url,
        ),
        create_time=timestamp(of.create_time_ms),
        protected=of.protected,
        etag=of.etag,
    )


def shown_user(of: ShownUser) -> users_pb2.User:
    message = user(of.user)
    if of.counts is not None:
        message.counts.CopyFrom(user_counts(of.counts))
    if of.private:
        message.state = _STATES[of.user.state]
    return message


def user_counts(of: Counts) -> users_pb2.UserCounts:
    """What was never counted is 0: its rows are younger than the others' counts."""
    return users_pb2.UserCounts(followers=of.followers or 0, following=of.following or 0, tweets=of.tweets or 0)


def profile(of: users_pb2.Profile) -> Profile:
    return Profile(display_name=of.display_name, bio=of.bio, location=of.location, url=of.url)


# --- graph ------------------------------------------------------------------------------------------------------


def relationship(of: Relationship) -> graph_pb2.Relationship:
    return graph_pb2.Relationship(
        user_id=of.user_id,
        following=of.following,
        followed_by=of.followed_by,
        blocking=of.blocking,
        blocked_by=of.blocked_by,
        muting=of.muting,
        requested=of.requested,
        requested_by=of.requested_by,
    )


# --- tweets -----------------------------------------------------------------------------------------------------


def _entities(of: Iterable[Entity]) -> list[tweets_pb2.Entity]:
    return [
        tweets_pb2.Entity(
            value=entity.value,
            byte_start=entity.byte_start,
            byte_end=entity.byte_end,
            code_point_start=entity.char_start,
            code_point_end=entity.char_end,
        )
        for entity in of
    ]


def _reference(of: Reference | None) -> tweets_pb2.TweetReference | None:
    return None if of is None else tweets_pb2.TweetReference(id=of.id, author_id=of.author_id)


def _as_reference(of: tweets_pb2.TweetReference) -> Reference:
    return Reference(of.id, of.author_id)


class ProtoTweetCodec:
    """Tweets as bytes of the contract's Tweet: what is stored, and what is sent untouched."""

    def encode(self, tweet: Tweet) -> bytes:
        message = tweets_pb2.Tweet(
            id=tweet.id,
            author_id=tweet.author_id,
            create_time=timestamp(tweet.create_time_ms),
            quoted=_reference(tweet.quoted),
            retweeted=_reference(tweet.retweeted),
            text=tweet.text,
            media=[tweets_pb2.Media(reference=reference) for reference in tweet.media],
            lang=tweet.lang,
        )
        if tweet.reply is not None:
            message.reply.to_id, message.reply.to_author_id = tweet.reply.to_id, tweet.reply.to_author_id
            message.reply.root_id = tweet.reply.root_id
        for kind in ("mentions", "hashtags", "cashtags", "urls"):
            found = getattr(tweet, kind)
            if found:
                getattr(message.entities, kind).extend(_entities(found))
        return message.SerializeToString(deterministic=True)

    def decode(self, body: bytes) -> Tweet:
        """All but the entities, which nobody on the server asks for: a page decodes each of its tweets."""
        message = tweets_pb2.Tweet.FromString(body)
        reply = message.reply
        return Tweet(
            id=message.id,
            author_id=message.author_id,
            text=message.text,
            create_time_ms=message.create_time.seconds * 1000 + message.create_time.nanos // 1_000_000,
            reply=Reply(reply.to_id, reply.to_author_id, reply.root_id) if message.HasField("reply") else None,
            quoted=_as_reference(message.quoted) if message.HasField("quoted") else None,
            retweeted=_as_reference(message.retweeted) if message.HasField("retweeted") else None,
            media=tuple(media.reference for media in message.media),
            lang=message.lang,
        )


def tweet_result(id_: int, body: bytes | None) -> bytes:
    """A framed TweetResult, one of `results` (field 1) of the batch reply; `body` is bare, None = absent."""
    if body is None:
        absent = tweets_pb2.TweetResult(id=id_, absent=common_pb2.ABSENCE_REASON_NOT_FOUND)
        return frame(absent.SerializeToString())
    return frame(tweets_pb2.TweetResult(id=id_).SerializeToString() + _RESULT_TWEET + frame(body)[1:])


# --- pages ------------------------------------------------------------------------------------------------------

_SOURCES = {
    PageSource.LIST: timelines_pb2.PAGE_SOURCE_LIST,
    PageSource.BUILD: timelines_pb2.PAGE_SOURCE_BUILD,
    PageSource.HISTORY: timelines_pb2.PAGE_SOURCE_HISTORY,
    PageSource.MERGE: timelines_pb2.PAGE_SOURCE_MERGE,
}


def page_info(of: PageInfo) -> timelines_pb2.PageInfo:
    return timelines_pb2.PageInfo(
        source=_SOURCES[of.source],
        end_of_history=of.end_of_history,
        complete_through=maybe_timestamp(of.complete_through_ms),
        degraded=of.degraded,
        stale=of.stale,
        hidden_by_rules=of.hidden,
    )
