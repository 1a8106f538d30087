"""How what holds a Scene shows itself: as text, as HTML, and as the last line of a cell."""

from __future__ import annotations

import html
from functools import cached_property
from typing import TYPE_CHECKING, Any

from worldline.errors import InputError
from worldline.views.html import render_html
from worldline.views.labels import readable_text
from worldline.views.lattice_text import render_text
from worldline.views.schema.scene import Scene

if TYPE_CHECKING:
    from worldline.views.widget import Picture

WIDGET_TYPE = "application/vnd.jupyter.widget-view+json"

_TEXT_WIDTH = 110
_FRAME_STYLE = "width:100%;height:640px;border:1px solid #8885;border-radius:8px"
# The attribute is in single quotes: JSON is full of double ones.
_IN_ATTRIBUTE = str.maketrans({"&": "&amp;", "'": "&#39;", "<": "&lt;", ">": "&gt;"})


class SceneDisplay:
    """What has a Scene, and shows it."""

    scene: Scene

    def __repr__(self) -> str:
        scene = self.scene
        return (
            f"<{type(self).__name__}: “{readable_text(scene.title)}”, {len(scene.tokens)} tokens, "
            f"{scene.model.n_layers} layers, {len(scene.edges)} edges>"
        )

    def show(self, width: int = 100, *, color: bool = False) -> str:
        """The picture as text for a terminal of `width` cells."""
        return render_text(self.scene, width=width, color=color)

    def html(self) -> str:
        """The picture as one HTML file that asks for nothing from the network."""
        return render_html(self.scene)

    @cached_property
    def picture(self) -> Picture:
        """The picture as a notebook widget, the one its cell shows: read `.node` and `.edges`.

        Raises: InputError without anywidget.
        """
        try:
            from worldline.views.widget import Picture
        except ImportError as error:
            raise InputError(
                f"no notebook widget ({error}); it comes with pip install 'worldline[notebook]'"
            ) from error
        return Picture(self.scene)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        """For Jupyter: the widget where there is one, and always the still picture and the text."""
        picture, why = self._live()
        bundle: dict[str, Any] = {
            "text/plain": self.show(),
            "text/html": iframe_html(self.scene, note=why),
        }
        if picture is not None:
            bundle[WIDGET_TYPE] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": picture.model_id,
            }
        return bundle

    def _display_(self) -> Any:
        """For marimo, which shows an AnyWidget itself, but no widget of a mimebundle."""
        picture, why = self._live()
        return _Still(iframe_html(self.scene, note=why)) if picture is None else picture

    def _live(self) -> tuple[Picture | None, str]:
        """The widget, if something can show it; or else why there is none."""
        try:
            from comm import DummyComm

            picture = self.picture
            if isinstance(picture.comm, DummyComm):
                return None, "no notebook kernel is there to talk to"
            return picture, ""
        except Exception as error:  # a cell shows the still picture, whatever ails the widget
            return None, str(error)


class _Still:
    """HTML that shows itself."""

    def __init__(self, content: str):
        self.content = content

    def _repr_html_(self) -> str:
        return self.content


def iframe_html(scene: Scene, *, note: str = "") -> str:
    """Give the HTML file as a frame for a cell, where it can neither read nor change the page.

    Below it, folded, stands the picture as text, for places that strip frames; `note` says there
    why nothing better is shown.
    """
    page = render_html(scene).translate(_IN_ATTRIBUTE)
    title = html.escape(f"{readable_text(scene.title)} · worldline")
    words = html.escape(render_text(scene, width=_TEXT_WIDTH, color=False))
    note_html = f"<p>A still picture: {html.escape(note)}.</p>" if note else ""
    return (
        f'<iframe title="{title}" sandbox="allow-scripts" style="{_FRAME_STYLE}" '
        f"srcdoc='{page}'></iframe>"
        f"<details><summary>The picture as text</summary>{note_html}<pre>{words}</pre></details>"
    )
