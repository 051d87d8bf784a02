from io import StringIO

from rich.console import Console

from rookery_server.dev.narration import OnConsole


def test_without_a_terminal_a_download_is_a_line_per_quarter() -> None:
    out = StringIO()
    narrator = OnConsole(Console(file=out, force_terminal=False, width=80))

    with narrator.download("Fetching", 40_000_000) as download:
        for _ in range(40):
            download.advance(1_000_000)

    assert out.getvalue().splitlines() == [
        "Fetching: 40 MB",
        "Fetching: 25 %",
        "Fetching: 50 %",
        "Fetching: 75 %",
        "Fetching: 100 %",
    ]


def test_on_a_terminal_it_is_a_bar() -> None:
    out = StringIO()
    narrator = OnConsole(Console(file=out, force_terminal=True, width=80))

    with narrator.download("Fetching", 40_000_000) as download:
        download.advance(20_000_000)

    assert "20.0/40.0 MB" in out.getvalue()


def test_what_is_said_is_not_taken_for_markup() -> None:
    out = StringIO()
    OnConsole(Console(file=out, width=80)).say("see [/tmp/x]")

    assert out.getvalue() == "see [/tmp/x]\n"
