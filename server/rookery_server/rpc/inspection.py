"""Verified, explained and rebuilt homes as replies of AdminService."""

from __future__ import annotations

from rookery.v1 import admin_pb2 as pb
from rookery_server.domain import ids
from rookery_server.domain.rules import Hidden
from rookery_server.rpc import convert
from rookery_server.services.explain import Explanation, Verdict
from rookery_server.services.inspection import Rebuilt
from rookery_server.services.verify import Difference, DifferenceKind, Verification

_RULES = {
    Hidden.DELETED: pb.HIDING_RULE_DELETED,
    Hidden.INACTIVE: pb.HIDING_RULE_INACTIVE,
    Hidden.BLOCKED: pb.HIDING_RULE_BLOCKED,
    Hidden.PROTECTED: pb.HIDING_RULE_PROTECTED,
    Hidden.UNFOLLOWED: pb.HIDING_RULE_UNFOLLOWED,
    Hidden.MUTED: pb.HIDING_RULE_MUTED,
    Hidden.STRANGER: pb.HIDING_RULE_STRANGER,
}
_KINDS = {
    DifferenceKind.MISSING: pb.DIFFERENCE_KIND_MISSING,
    DifferenceKind.FORBIDDEN: pb.DIFFERENCE_KIND_FORBIDDEN,
    DifferenceKind.DOUBLED: pb.DIFFERENCE_KIND_DOUBLED,
}
_VERDICTS = {
    Verdict.LISTED: pb.HOME_VERDICT_LISTED,
    Verdict.MERGED: pb.HOME_VERDICT_MERGED,
    Verdict.BELOW_FLOOR: pb.HOME_VERDICT_BELOW_FLOOR,
    Verdict.BUILT_ON_READ: pb.HOME_VERDICT_BUILT_ON_READ,
    Verdict.NO_SUCH_TWEET: pb.HOME_VERDICT_NO_SUCH_TWEET,
    Verdict.NOT_FOLLOWED: pb.HOME_VERDICT_NOT_FOLLOWED,
    Verdict.HIDDEN: pb.HOME_VERDICT_HIDDEN,
    Verdict.ON_ITS_WAY: pb.HOME_VERDICT_ON_ITS_WAY,
    Verdict.LOST: pb.HOME_VERDICT_LOST,
}


def verification(of: Verification) -> pb.VerifyHomeTimelineResponse:
    return pb.VerifyHomeTimelineResponse(
        cached=of.cached,
        complete_through=convert.maybe_timestamp(of.complete_through_ms),
        floor=convert.maybe_timestamp(of.floor_ms),
        compared=of.compared,
        differences=[_difference(one) for one in of.differences],
        more_differences=of.more,
    )


def _difference(of: Difference) -> pb.HomeDifference:
    return pb.HomeDifference(
        tweet_id=of.tweet_id, author_id=of.author_id, kind=_KINDS[of.kind], rule=_rule(of.rule), claimed=of.claimed
    )


def explanation(of: Explanation, tier: pb.AuthorTier | None) -> pb.ExplainHomeTimelineResponse:
    """`tier`: of the author, as other replies have it."""
    return pb.ExplainHomeTimelineResponse(
        verdict=_VERDICTS[of.verdict],
        rule=_rule(of.rule),
        author_id=of.author_id,
        create_time=convert.timestamp(ids.time_ms(of.tweet_id)) if of.author_id else None,
        following=of.following,
        edge_time=convert.maybe_timestamp(of.edge_ms),
        tier=tier,
        cached=of.cached,
        listed=of.listed,
        in_author_list=of.in_author_list,
        floor=convert.maybe_timestamp(of.floor_ms),
        build_time=convert.maybe_timestamp(of.built_ms),
        complete_through=convert.maybe_timestamp(of.complete_through_ms),
        watermark=convert.maybe_timestamp(of.watermark_ms),
    )


def rebuilt(of: Rebuilt) -> pb.RebuildHomeTimelineResponse:
    return pb.RebuildHomeTimelineResponse(
        settled=of.settled,
        stored=of.stored,
        size=of.size,
        complete_through=convert.maybe_timestamp(of.complete_through_ms),
    )


def _rule(of: Hidden | None) -> pb.HidingRule.ValueType:
    return pb.HIDING_RULE_UNSPECIFIED if of is None else _RULES[of]
