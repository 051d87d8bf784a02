"""What every hands-on command shares: where to call, as whom, how to print, how to fail."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape

from rookery import Client, Credentials, errors

Result = TypeVar("Result")

EXIT_REFUSED = 1
"""The server said no: the request has to change."""
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3
"""Nobody could answer, or the outcome is unknown: try again (with the same request id)."""
EXIT_NOT_FOUND = 4
EXIT_DENIED = 5

_TRY_AGAIN = (errors.Unavailable, errors.DeadlineExceeded, errors.Cancelled, errors.Internal)
_DENIED = (errors.PermissionDenied, errors.Unauthenticated)


@dataclass(frozen=True, slots=True)
class Session:
    """The global options.  `acting` is an id or a name as typed, resolved at the first call."""

    target: str
    token: str | None
    acting: str | None
    as_json: bool
    out: Console
    err: Console

    def run(self, work: Callable[[Client], Awaitable[Result]], *, connections: int = 1) -> Result:
        """Runs one command against the server; ends the process with its exit code when it fails."""

        async def whole() -> Result:
            async with Client(self.target, Credentials(token=self.token), connections=connections) as client:
                acting = await user_id(client, self.acting) if self.acting else None
                return await work(client.acting_as(acting) if acting is not None else client)

        try:
            return asyncio.run(whole())
        except errors.RookeryError as error:
            self.fail(error)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    def about(self, user: str, call: Callable[[Client, int], Awaitable[Result]]) -> Result:
        """Runs one command about somebody; `user` is an id or a name as typed."""

        async def work(client: Client) -> Result:
            return await call(client, await user_id(client, user))

        return self.run(work)

    def fail(self, error: errors.RookeryError) -> NoReturn:
        if self.as_json:
            told: dict[str, Any] = {
                "error": error.reason or error.code.name,
                "message": error.message,
                "metadata": error.metadata,
                "violations": [{"field": v.field, "description": v.description} for v in error.violations],
            }
            print(json.dumps(told), file=sys.stderr)
        else:
            self.err.print(f"[bold red]{error.reason or error.code.name}[/] {escape(error.message)}", highlight=False)
            for violation in error.violations:
                self.err.print(f"  {violation.field}: {violation.description}", highlight=False, markup=False)
            if isinstance(error, _TRY_AGAIN) and error.outcome == "unknown":
                self.err.print("  It may have happened all the same; repeating it is safe.", highlight=False)
            if isinstance(error, errors.Unavailable) and not error.reason:
                self.err.print(f"  Is a server listening on {self.target}?  `make up` starts one.", highlight=False)
        raise typer.Exit(exit_code(error))

    def show(self, message: Message, human: Callable[[], None]) -> None:
        """`message` as one JSON document, or whatever `human` prints."""
        if self.as_json:
            print(json.dumps(as_dict(message), ensure_ascii=False), flush=True)
        else:
            human()


def exit_code(error: errors.RookeryError) -> int:
    if isinstance(error, _TRY_AGAIN):
        return EXIT_UNAVAILABLE
    if isinstance(error, errors.NotFound):
        return EXIT_NOT_FOUND
    return EXIT_DENIED if isinstance(error, _DENIED) else EXIT_REFUSED


def as_dict(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


async def user_id(client: Client, user: str) -> int:
    """`42`, `@ada` or `ada` to an id.  A name of digits only is written with its @."""
    return int(user) if user.isdigit() else (await client.get_user(user)).id


def session(context: typer.Context) -> Session:
    found = context.find_object(Session)
    assert found is not None, "the root callback makes one"  # noqa: S101  (a bug here, not an input)
    return found
