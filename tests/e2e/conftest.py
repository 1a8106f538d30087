"""What tests in a browser share: one Chromium for a file's tests, pages of Scenes in it."""

from __future__ import annotations

import pytest

from browsing import Opened, Shown, beside
from live_page import chromium
from worldline.views.html import render_html


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def shown(browser, tmp_path):
    """Show Scenes, each as a file; when the test ends none of them may have complained."""
    open_pages = []

    def show(scene, **wishes):
        open_pages.append(Shown(browser, tmp_path, scene, **wishes))
        return open_pages[-1]

    yield show
    for one in open_pages:
        one.close()


@pytest.fixture(scope="module")
def scenes():
    return beside("scenes")


@pytest.fixture
def opened(browser, tmp_path):
    contexts = []

    def open_scene(scene, *, size=(1440, 900), scheme="light", scripts=True):
        path = tmp_path / f"scene{len(contexts)}.html"
        path.write_text(render_html(scene), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            offline=True,
            java_script_enabled=scripts,
        )
        contexts.append(context)
        found = Opened(context.new_page(), path.as_uri())
        opens.append(found)
        return found

    opens: list[Opened] = []
    yield open_scene
    for found in opens:
        assert found.complaints == []
        outside = [
            url for url in found.requests if not url.startswith(("file:", "data:", "about:"))
        ]
        assert outside == []
    for context in contexts:
        context.close()
