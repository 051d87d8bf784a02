"""Which object serves which service: the list that `RpcServer` is built from."""

from __future__ import annotations

from dataclasses import dataclass

from rookery_server.domain.clock import Clock
from rookery_server.domain.tokens import TokenSigner
from rookery_server.rpc.admin import AdminServicer
from rookery_server.rpc.graph import GraphServicer
from rookery_server.rpc.paging import Tokens
from rookery_server.rpc.timelines import TimelineServicer
from rookery_server.rpc.tweets import TweetServicer
from rookery_server.rpc.users import UserServicer
from rookery_server.services.admin import Admin
from rookery_server.services.audience import Audience
from rookery_server.services.graph import Graph
from rookery_server.services.home import HomeTimelines
from rookery_server.services.inspection import HomeInspection
from rookery_server.services.live import LiveTimelines
from rookery_server.services.moderation import Moderation
from rookery_server.services.tweets import Tweets
from rookery_server.services.user_timeline import UserTimelines
from rookery_server.services.users import Users


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything a server can do."""

    users: Users
    tweets: Tweets
    graph: Graph
    user_timelines: UserTimelines
    home: HomeTimelines
    live: LiveTimelines
    admin: Admin
    moderation: Moderation
    audience: Audience
    homes: HomeInspection


def servicers(use_cases: UseCases, signer: TokenSigner, clock: Clock) -> dict[str, object]:
    """By full service name."""
    of, tokens = use_cases, Tokens(signer)
    return {
        "rookery.v1.UserService": UserServicer(of.users, tokens, clock),
        "rookery.v1.TweetService": TweetServicer(of.tweets, tokens),
        "rookery.v1.GraphService": GraphServicer(of.graph, of.users, tokens),
        "rookery.v1.TimelineService": TimelineServicer(of.user_timelines, of.home, of.live, of.users, tokens),
        "rookery.v1.AdminService": AdminServicer(of.admin, of.moderation, of.audience, of.homes, tokens, clock),
    }
