"""The `rookery` command."""


def main() -> None:
    from rookery_server.cli.app import app

    app()


if __name__ == "__main__":
    main()
