from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rookery.v1 import common_pb2, timelines_pb2, tweets_pb2
from rookery_server.domain.frames import frame
from rookery_server.domain.models import Entity, Profile, Reference, Reply, Tweet, User
from rookery_server.rpc import convert
from rookery_server.services.pages import PageInfo, PageSource

IDS = st.integers(1, 2**63 - 1)
REFERENCES = st.none() | st.builds(Reference, IDS, IDS)
SPANS = st.integers(0, 4096)
ENTITIES = st.lists(
    st.builds(Entity, st.just("mention"), st.text(max_size=5), SPANS, SPANS, SPANS, SPANS), max_size=3
).map(tuple)
TWEETS = st.builds(
    Tweet,
    id=IDS,
    author_id=IDS,
    text=st.text(max_size=50),
    create_time_ms=st.integers(0, 2**42),
    mentions=ENTITIES,
    urls=ENTITIES,
    reply=st.none() | st.builds(Reply, IDS, IDS, IDS),
    quoted=REFERENCES,
    retweeted=REFERENCES,
    media=st.lists(st.text(max_size=5), max_size=4).map(tuple),
    lang=st.sampled_from(["", "en"]),
)
CODEC = convert.ProtoTweetCodec()


@given(TWEETS)
def test_a_tweet_comes_back_but_for_its_entities(tweet: Tweet) -> None:
    body = CODEC.encode(tweet)
    assert body == CODEC.encode(tweet)
    back = CODEC.decode(body)
    for field in ("id", "author_id", "text", "create_time_ms", "reply", "quoted", "retweeted", "media", "lang"):
        assert getattr(back, field) == getattr(tweet, field)
    message = tweets_pb2.Tweet.FromString(body)
    for kind in ("mentions", "hashtags", "cashtags", "urls"):
        sent = [
            Entity("mention", e.value, e.byte_start, e.byte_end, e.code_point_start, e.code_point_end)
            for e in getattr(message.entities, kind)
        ]
        assert sent == list(getattr(tweet, kind))


@given(st.lists(TWEETS, max_size=4))
def test_framed_tweets_joined_are_the_tweets_of_every_reply(tweets: list[Tweet]) -> None:
    joined = b"".join(frame(CODEC.encode(tweet)) for tweet in tweets)
    for reply in (timelines_pb2.GetHomeTimelineResponse, timelines_pb2.GetUserTimelineResponse):
        assert [t.id for t in reply.FromString(joined).tweets] == [t.id for t in tweets]


@given(st.lists(st.tuples(IDS, st.none() | TWEETS), max_size=4))
def test_batch_results_are_put_together_from_bytes(pairs: list[tuple[int, Tweet | None]]) -> None:
    raw = b"".join(convert.tweet_result(id_, CODEC.encode(t) if t else None) for id_, t in pairs)
    results = tweets_pb2.BatchGetTweetsResponse.FromString(raw).results
    assert [r.id for r in results] == [id_ for id_, _ in pairs]
    for result, (_, tweet) in zip(results, pairs, strict=True):
        if tweet is None:
            assert result.absent == common_pb2.ABSENCE_REASON_NOT_FOUND
        else:
            assert result.tweet == tweets_pb2.Tweet.FromString(CODEC.encode(tweet))


def test_a_user_is_shown_whole() -> None:
    user = User(7, "Ada", Profile("Ada L.", "bio", "London", "https://a.example"), 1_600_000_000_123, "e1", True)
    message = convert.user(user)
    assert (message.id, message.username, message.etag, message.protected) == (7, "Ada", "e1", True)
    assert convert.profile(message.profile) == user.profile
    assert message.create_time.ToMilliseconds() == 1_600_000_000_123
    assert not message.HasField("counts")


def test_a_page_claims_what_it_claims() -> None:
    said = convert.page_info(PageInfo(PageSource.MERGE, True, 1_500, degraded=True, stale=True, hidden=3))
    assert said.source == timelines_pb2.PAGE_SOURCE_MERGE
    assert (said.end_of_history, said.degraded, said.stale, said.hidden_by_rules) == (True, True, True, 3)
    assert said.complete_through.ToMilliseconds() == 1_500
    nothing = convert.page_info(PageInfo(PageSource.LIST, False, 0))
    assert not nothing.HasField("complete_through")


def test_every_source_has_its_name() -> None:
    sources = {convert.page_info(PageInfo(source, False, 0)).source for source in PageSource}
    assert len(sources) == len(PageSource)
    assert timelines_pb2.PAGE_SOURCE_UNSPECIFIED not in sources
