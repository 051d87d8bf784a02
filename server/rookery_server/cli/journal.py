"""What a load has done so far, so that it can be taken up again after anything.

One JSON-lines file per (source, server) in the user's cache folder.  Losing it costs time, never correctness: accounts
are found again by their names, and follows are idempotent.
"""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from typing import IO


class Journal:
    """`users`: external key → user id.  `edges_done`: so many edges from the start of the source are all loaded."""

    def __init__(self, path: Path):
        self.path = path
        self.users: dict[str, int] = {}
        self.edges_done = 0
        self._beyond: list[int] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._replay(path.read_text(encoding="utf-8"))
        self._file: IO[str] = path.open("a", encoding="utf-8", buffering=1)

    def _replay(self, text: str) -> None:
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:  # the line that was being written when the process died
                continue
            if "user" in entry:
                self.users[entry["user"]] = entry["id"]
            else:
                self.edges_done = max(self.edges_done, entry["edges"])

    def user(self, key: str, id_: int) -> None:
        self.users[key] = id_
        self._file.write(json.dumps({"user": key, "id": id_}) + "\n")

    def edge(self, index: int) -> None:
        """Edge number `index` is loaded; in any order."""
        heapq.heappush(self._beyond, index)
        before = self.edges_done
        while self._beyond and self._beyond[0] == self.edges_done:
            heapq.heappop(self._beyond)
            self.edges_done += 1
        if self.edges_done // 500 != before // 500:  # a lost line costs 500 repeated follows at most
            self._write_edges()

    def _write_edges(self) -> None:
        self._file.write(json.dumps({"edges": self.edges_done}) + "\n")

    def forget(self) -> None:
        """Starts anew: the installation it speaks of is not there any more."""
        self.users, self.edges_done, self._beyond = {}, 0, []
        self._file.truncate(0)

    def close(self) -> None:
        self._write_edges()
        self._file.close()
