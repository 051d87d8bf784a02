"""What the person sees during the slow parts: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


class Narrator(Protocol):
    """Told about each step; must be callable from any thread."""

    def say(self, text: str) -> None: ...

    def download(self, title: str, total_bytes: int) -> "Download": ...


class Download(Protocol):
    def __enter__(self) -> "Download": ...

    def __exit__(self, *exc: object) -> None: ...

    def advance(self, nbytes: int) -> None: ...


class Silent:
    """For tests and for callers that report on their own."""

    def say(self, text: str) -> None:
        pass

    def download(self, title: str, total_bytes: int) -> Download:
        return _Counted(lambda text: None, title, total_bytes)


class OnConsole:
    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def download(self, title: str, total_bytes: int) -> Download:
        if self._console.is_terminal:
            return _Bar(self._console, title, total_bytes)
        return _Counted(self.say, title, total_bytes)


class _Bar:
    def __init__(self, console: Console, title: str, total_bytes: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task(title, total=total_bytes)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def advance(self, nbytes: int) -> None:
        self._progress.advance(self._task, nbytes)


class _Counted:
    """A line per quarter: enough to see that it moves, few enough for the log of a build."""

    def __init__(self, say: Callable[[str], None], title: str, total_bytes: int) -> None:
        self._say, self._title, self._total = say, title, total_bytes
        self._done, self._quarter = 0, 0

    def __enter__(self) -> "_Counted":
        self._say(f"{self._title}: {self._total / 1e6:.0f} MB")
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def advance(self, nbytes: int) -> None:
        self._done += nbytes
        quarter = 4 * self._done // max(1, self._total)
        if quarter > self._quarter:
            self._quarter = quarter
            self._say(f"{self._title}: {25 * min(quarter, 4)} %")
