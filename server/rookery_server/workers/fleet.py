"""The cache's nodes as a worker sees them: which link to each, and since when it can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rookery_server.cache.interface import Deliveries, Link


class Fleet:
    """Links by node, each with an *era*: a number that changes whenever something sent earlier may be lost.

    Whoever knows that a node holds everything up to some point knows it for one era.  Rules C3 to C5.
    """

    def __init__(self, cache: Deliveries) -> None:
        self._cache = cache
        self._links: Mapping[str, Link] = {}
        self._eras: dict[str, int] = {}

    def links(self) -> Mapping[str, Link]:
        """A snapshot, never changed later: all pushes of one application go over it."""
        return self._links

    def nodes(self) -> frozenset[str]:
        return self._cache.nodes() | self._links.keys()

    def era(self, node: str) -> int:
        return self._eras.get(node, 0)

    def index(self, node: str) -> str:
        """The label of a node in metrics: its place among all of them."""
        return str(sorted(self.nodes()).index(node))

    async def refresh(self) -> None:
        """Opens what is closed.  A new link begins a new era."""
        found = dict(await self._cache.open_links())
        for node, link in found.items():
            if self._links.get(node) != link:
                self._eras[node] = self.era(node) + 1
        self._links = found

    def suspect(self, nodes: Iterable[str], used: Mapping[str, Link]) -> None:
        """These nodes did not ack everything that was sent over `used`.  An older link than the present one proves
        nothing new: the present era began with reading again all that was open or unacked then."""
        for node in nodes:
            if used.get(node) == self._links.get(node):
                self._eras[node] = self.era(node) + 1
