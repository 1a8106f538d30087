"""The file of the claims: whole, closed, and readable without its script."""

import base64
import hashlib
import json
import re

import jsonschema

from claims_pictures import NASTY, claims_picture
from worldline.views.claims_html import (
    claims_text,
    render_claims_html,
)
from worldline.views.html import claims_json
from worldline.views.schema.claims import ClaimsPicture
from worldline.views.schema.json_schemas import schema_of


def test_what_travels_fits_the_schema_and_comes_back_equal():
    picture = claims_picture()
    wire = json.loads(claims_json(picture))
    jsonschema.Draft202012Validator(schema_of(ClaimsPicture)).validate(wire)
    assert wire["schema"] == "worldline.claims/1"
    assert ClaimsPicture.model_validate(wire) == picture


def test_the_file_admits_its_own_script_and_styles_alone():
    page = render_claims_html(claims_picture())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    for tag, part in (("script", r'<script type="module">(.*?)</script>'),
                      ("style", "<style>(.*?)</style>")):  # fmt: skip
        inside = re.search(part, page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"<(link|script|img)[^>]+(src|href)=\"(?!data:)", page)
    assert 'id="worldline-scene"' not in page
    assert NASTY not in page


def test_as_text_every_claim_has_its_verdicts():
    picture = claims_picture()
    text = claims_text(picture)
    for node in picture.nodes:
        assert (f"({node.id})" in text) == (node.type == "claim")
    assert "supported; 2.1e-06 [2.1e-06, 2.1e-06] of the largest logit" in text
    assert "measured; 0.31 of d_model" in text  # no interval is none
    assert "stale: the experiment's sources have changed" in text
    assert text.count("not tested on this model yet") == 1
    assert text.count("; quick") == 2
