"""What can go wrong with the local cluster, in words for the person at the keyboard.

LocalClusterError
├── UnsupportedPlatform   not Linux on x86_64, and nothing installed that could be used instead
├── EngineMissing         no binary, no package, no Java 17
├── NoMemory              less memory left than the nodes need
├── PortTaken             a port that cannot be changed is held by somebody else
├── DownloadRefused       the jars could not be fetched, after retries
├── DamagedJar            a jar stays different from the committed list, after fetching it again
├── NodeSilent            a node died or never answered; carries the end of its log
├── StackBusy             the stack is up already, or being changed by another command
└── StackMismatch         kept data was made with other settings
"""


class LocalClusterError(Exception):
    """`str()` is the whole message: what happened, and what to do about it."""


class UnsupportedPlatform(LocalClusterError):
    pass


class EngineMissing(LocalClusterError):
    pass


class NoMemory(LocalClusterError):
    pass


class PortTaken(LocalClusterError):
    pass


class DownloadRefused(LocalClusterError):
    pass


class DamagedJar(LocalClusterError):
    pass


class NodeSilent(LocalClusterError):
    """A node that died or never answered.

    `log_end` holds the last lines of its log, already part of the message.
    """

    def __init__(self, what: str, log_end: str) -> None:
        self.log_end = log_end
        super().__init__(f"{what}\nThe end of its log:\n{log_end}" if log_end else f"{what}\nIts log is empty.")


class StackBusy(LocalClusterError):
    pass


class StackMismatch(LocalClusterError):
    pass
