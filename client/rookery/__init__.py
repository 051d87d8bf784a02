"""The Rookery client.

::

    async with rookery.Client("localhost:7070", rookery.Credentials(acting_user=42)) as client:
        await client.create_tweet("Good morning from the north shore")
        async for tweet in client.home_timeline():
            print(tweet.text)

`rookery.sync.Client` is the same without an event loop; `rookery.errors` is what calls raise; `rookery.v1` holds the
raw stubs.
"""

from rookery import errors
from rookery.client import Client
from rookery.credentials import Credentials

__all__ = ["Client", "Credentials", "errors"]
