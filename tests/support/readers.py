"""Readers under load and the oracle that judges their pages: those of `rookery admin drill`."""

from rookery_server.dev.pages import (
    SCROLL_S,
    Oracle,
    Page,
    Post,
    Scroll,
    Verdict,
    keep_scrolling,
    now_ms,
    scroll,
)

__all__ = ["SCROLL_S", "Oracle", "Page", "Post", "Scroll", "Verdict", "keep_scrolling", "now_ms", "scroll"]
