"""`rookery tweet …`"""

from __future__ import annotations

from typing import Annotated

import typer

from rookery import Client
from rookery.v1 import tweets_pb2
from rookery_server.cli import render
from rookery_server.cli.session import session

app = typer.Typer(no_args_is_help=True, help="Tweets: post, show, delete.")


@app.command()
def post(
    context: typer.Context,
    text: str,
    reply_to: Annotated[int, typer.Option(help="Id of the tweet to answer.")] = 0,
    quote: Annotated[int, typer.Option(help="Id of the tweet to quote.")] = 0,
    request_id: Annotated[str | None, typer.Option(help="A UUID; repeat it to repeat safely.")] = None,
) -> None:
    """Post as the acting user."""
    on = session(context)
    reply = on.run(
        lambda client: client.create_tweet(text, in_reply_to_id=reply_to, quoted_id=quote, request_id=request_id)
    )
    on.show(reply, lambda: render.tweets(on.out, [reply.tweet], {}))


@app.command()
def show(context: typer.Context, tweet_id: int) -> None:
    """One tweet with its author."""
    on = session(context)

    async def work(client: Client) -> tuple[tweets_pb2.Tweet, dict[int, str]]:
        tweet = await client.get_tweet(tweet_id)
        author = await client.get_user(tweet.author_id)
        return tweet, render.names_of([author])

    tweet, names = on.run(work)
    on.show(tweet, lambda: render.tweets(on.out, [tweet], names))


@app.command()
def delete(context: typer.Context, tweet_id: int) -> None:
    """Delete one of the acting user's tweets.  Deleting again is fine."""
    on = session(context)
    reply = on.run(lambda client: client.delete_tweet(tweet_id))
    gone = "gone everywhere" if reply.settled else "deleted; cached copies follow as soon as their node can be reached"
    on.show(reply, lambda: on.out.print(f"{tweet_id}: {gone}", highlight=False))
