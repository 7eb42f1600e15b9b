"""A folded flip-book in Chromium: blocks are unfolded and folded again, by click and by keyboard, with names."""

from __future__ import annotations

import pytest
import steep as sp

TOGGLE = ".fb-toggle"
STATUS = ".fb-controls output"


def unrolled(wx, wh, steps=100):
    h, draw = sp.zeros((1, 4)), sp.random.Generator(0)
    for _ in range(steps):
        h = sp.tanh(draw.normal((1, 2)) @ wx + h @ wh)
    return sp.mean(h**2)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    made = tmp_path_factory.mktemp("page") / "page.html"
    sp.page(unrolled, sp.ones((2, 4)) * 0.5, sp.ones((4, 4)) * 0.1, path=made)
    return made


@pytest.fixture(params=[390, 1280])
def page(opened, file, request):
    context = opened.new_context(viewport={"width": request.param, "height": 800})
    found, said = context.new_page(), []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.goto(file.as_uri())
    yield found
    assert said == []
    assert found.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    context.close()


def counted(page):
    return page.locator(".fb-node").count()


def steps(page):
    return int(page.get_attribute(".fb-controls input", "max"))


def names(page, which=0):
    toggle = page.locator(TOGGLE).nth(which)
    return toggle.get_attribute("aria-label"), toggle.get_attribute("aria-expanded")


def test_a_click_unfolds_a_block_and_another_folds_it_again(page):
    before, length = counted(page), steps(page)
    assert names(page) == ("Unfold repeat 2/99, 4 nodes", "false")
    page.locator(TOGGLE).first.click()
    assert counted(page) == before + 4 and steps(page) > length  # with its input of random numbers, without the block
    assert page.locator(".fb-node.fb-inside").count() == 5
    assert page.text_content(STATUS).startswith("repeat 2/99 is unfolded. Step ")
    assert names(page) == ("Fold repeat 2/99", "true")
    page.locator(TOGGLE).nth(1).click()
    assert counted(page) == before + 8 and page.locator(".fb-node.fb-inside").count() == 10
    page.locator(TOGGLE).first.click()
    assert counted(page) == before + 4 and names(page)[1] == "false" and names(page, 1)[1] == "true"
    page.locator(TOGGLE).nth(1).click()
    assert (counted(page), steps(page)) == (before, length)
    assert page.text_content(STATUS).startswith("repeat 3/99 is folded. Step ")


def test_the_keyboard_unfolds_and_steps_through_what_was_inside(page):
    before = counted(page)
    page.locator(TOGGLE).first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"  # the focus goes along
    told = []
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        told.append(page.text_content(".fb-detail h2"))
        assert page.text_content(".fb-turn") == "Fold repeat 2/99"
    assert sorted(told) == ["add", "matmul", "matmul", "tanh"]
    page.keyboard.press(" ")
    assert counted(page) == before


def test_a_block_unfolds_in_the_half_that_one_is_in(page):
    page.keyboard.press("End")
    page.locator(".fb-node.fb-folded").first.click()
    assert "(backward, " in page.text_content(STATUS)
    page.click(".fb-turn")
    assert "(backward, " in page.text_content(STATUS) and "is unfolded" in page.text_content(STATUS)
    page.click(".fb-turn")
    assert "(backward, " in page.text_content(STATUS) and "is folded" in page.text_content(STATUS)
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert "The gradient with respect to" in page.text_content(STATUS)


def test_with_every_block_unfolded_the_gradients_are_those_of_the_whole_graph(page):
    while page.locator(f"{TOGGLE}[aria-expanded=false]").count():
        page.evaluate("() => document.querySelector('.fb-toggle[aria-expanded=false]').click()")
    assert page.locator(".fb-node.fb-folded").count() == 0
    page.keyboard.press("End")
    whole = sp.page(unrolled, sp.ones((2, 4)) * 0.5, sp.ones((4, 4)) * 0.1, path=None, most=10_000)
    assert counted(page) == whole.nodes
    assert page.locator(".fb-toggle[aria-expanded=true]").count() == 97
