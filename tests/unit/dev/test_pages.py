"""The oracle must be able to fail: each thing that can be wrong with a page is shown to it."""

from __future__ import annotations

from dataclasses import replace

from rookery_server.dev.pages import Oracle, Page, Post, Scroll, Verdict

ME, ADA, BO, EVE = 1, 2, 3, 9
POSTS = [Post(id_, author, id_ * 10, id_ * 10 + 5, f"text {id_}") for id_, author in ((11, ADA), (12, BO), (13, ADA))]
SOURCES = {ME: frozenset({ME, ADA, BO})}


def page(*ids: int, above: int | None = None, more: bool = False, through: int = 1_000) -> Page:
    authors = {post.id: post.author for post in POSTS}
    return Page(
        above=above,
        ids=ids,
        authors=tuple(authors.get(id_, ADA) for id_ in ids),
        texts=tuple(f"text {id_}" for id_ in ids),
        complete_through_ms=through,
        more=more,
        degraded=False,
        stale=False,
        source=1,
        began_ms=2_000,
        seconds=0.01,
    )


def judged(*pages: Page, deleted: dict[int, int] | None = None) -> Verdict:
    return Oracle(SOURCES, POSTS, deleted or {}).judge([Scroll(ME, list(pages))])


def test_a_true_scroll_passes_and_was_really_checked() -> None:
    verdict = judged(page(13, 12, more=True), page(11, above=12))
    assert verdict.wrong == []
    assert verdict.required == 3


def test_a_missing_post_is_found() -> None:
    assert "misses 12" in judged(page(13, 11)).wrong[0]


def test_a_post_missing_between_two_pages_is_found() -> None:
    assert "misses 12" in judged(page(13, more=True), page(11, above=13)).wrong[0]


def test_a_post_acked_after_the_claim_may_be_missing() -> None:
    assert judged(page(12, 11, through=130)).wrong == []


def test_an_empty_page_with_a_token_leaves_its_stretch_to_the_next() -> None:
    assert judged(page(more=True), page(13, 12, 11)).wrong == []
    assert "misses 13" in judged(page(more=True), page(12, 11)).wrong[0]


def test_doubles_and_wrong_order_are_found() -> None:
    assert "twice" in " ".join(judged(page(13, 12, more=True), page(12, 11, above=12)).wrong)
    assert "descending" in judged(page(12, 13, 11)).wrong[0]


def test_strangers_and_other_texts_are_found() -> None:
    strange = page(13, 12, 11)
    assert "does not follow" in judged(replace(strange, authors=(ADA, EVE, ADA))).wrong[0]
    assert "not what was posted" in judged(replace(strange, texts=("text 13", "other", "text 11"))).wrong[0]


def test_a_settled_delete_must_not_show_but_on_a_stale_page() -> None:
    shown = page(13, 12, 11)
    assert "was deleted" in judged(shown, deleted={12: 1_500}).wrong[0]
    assert judged(replace(shown, stale=True), deleted={12: 1_500}).wrong == []
    assert judged(page(13, 11), deleted={12: 1_500}).wrong == []
