"""One typed picture, the Scene, and its forms: text, HTML, JSON, widget, graphs, tables.

Computes no science: every number in it was handed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.views.altered_runs import altered_lines as altered_lines
    from worldline.views.altered_runs import with_altered as with_altered
    from worldline.views.export_formats import ending_of as ending_of
    from worldline.views.export_formats import export_bytes as export_bytes
    from worldline.views.html import claims_json as claims_json
    from worldline.views.html import render_html as render_html
    from worldline.views.html import render_page as render_page
    from worldline.views.labels import split_note as split_note
    from worldline.views.labels import token_labels as token_labels
    from worldline.views.number_records import with_meanings as with_meanings
    from worldline.views.path_text import spectrum_lines as spectrum_lines
    from worldline.views.reproduce import recipe_of as recipe_of
    from worldline.views.scene_builder import paths_shown as paths_shown
    from worldline.views.schema.alterations import SceneAltered as SceneAltered
    from worldline.views.schema.claims import ClaimsPicture as ClaimsPicture
    from worldline.views.schema.json_schemas import STATIC as STATIC
    from worldline.views.schema.recipe import Recipe as Recipe
    from worldline.views.schema.recipe import recipe_on as recipe_on
    from worldline.views.schema.recipe import terminal_line as terminal_line
    from worldline.views.schema.scene import ScenePaths as ScenePaths
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
