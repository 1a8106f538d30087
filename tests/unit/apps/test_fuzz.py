"""Requests made from the API's own description: no error of the server, answers as described."""

from __future__ import annotations

import itertools
import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from schemathesis.python import asgi

from tiny_scenes import TEXT, tiny_scene
from worldline.apps.server.access import Rate
from worldline.apps.server.app import make_app
from worldline.room.host import Desk
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.service.answers import Answer
from worldline.service.worker import Worker
from worldline.views.html import scene_json
from worldline.views.schema.alterations import SceneAltered

ABOUT = {"model": "tiny", "example": TEXT, "version": "0"}
KINDS = ("trace", "paths", "cut", "hops", "cone", "orders", "save")
CHECKS = [
    checks.not_a_server_error,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
]
PATIENT = settings(
    derandomize=True, max_examples=25, deadline=None, database=None,
    phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip


def parts() -> dict[str, dict]:
    """A part of each kind, as it might be."""
    again = {"cli": "worldline", "python": "wl", "note": "", "recipe": None}
    guess = {"token": "t1 ", "id": 1, "logprob": -0.5}
    curve = {
        "sink": "free", "budgets": [0], "loss_nats": [1.0], "hops_needed": [None, 0],
        "hops_needed_close": [None, None], "state_gain_nats": None, "sink_cos": [None],
        "norm_ratio": [1.0],
    }  # fmt: skip
    order = {
        "name": "decode", "n_slices": 1, "widest": 1, "longest_chain": 1, "blocks": 1,
        "of_blocks": 1, "seconds": 0.1, "nats": None, "ulp": None, "row_error": 0.0,
        "slices": [[0, None]],
    }  # fmt: skip
    found = {
        "cut": {
            "words": ["mask"], "target": "t1 ", "target_before": -1.0, "target_after": -2.0,
            "change_nats": -1.0, "kl_nats": 0.1, "before": [guess], "after": [guess], "n_edges": 1,
            "edges": [{"layer": 0, "head": None, "src": 0, "dst": 1}], "nodes": [],
            "reproduce": again,
        },
        "sources": {
            "how": "mask", "target": "t1 ", "target_before": -1.0, "change_nats": [-1.0, 0.0],
            "after": [guess, None], "reproduce": again,
        },
        "hops": {
            "loss_full_nats": 1.0, "curves": [curve], "layers": "all", "longest": None,
            "tail": "all", "reproduce": again,
        },
        "cone": {
            "layer": 0, "pos": 0, "n_directions": 1, "step": 0.01, "outside_zero": True,
            "responses": [{"through": "kv", "relative": [[0.0]], "spread": [[0.0]]}],
            "derivative_error": None, "additivity_error": None, "reproduce": again,
        },
        "orders": {"floor_nats": 0.0, "orders": [order], "reproduce": again},
    }  # fmt: skip
    whole = SceneAltered.model_validate(found).model_dump(mode="json")
    return {name: whole[name] for name in found}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The application over a stub, its description, and an answered question of every kind."""
    folder = tmp_path_factory.mktemp("traces")

    def answers(question, say) -> Answer:
        say("at work")
        if question.ask == "trace":
            scene = tiny_scene("gradient")
            return Answer(scene_json(scene), scene=scene)
        if question.ask == "paths":
            return Answer('{"paths": null, "paths_left_out": "too long"}')
        if question.ask == "save":
            place = folder / "trace.safetensors"
            place.write_bytes(b"arrays")
            return Answer('{"bytes": 6}', file=place)
        return Answer(json.dumps({question.ask: parts()[question.ask]}))

    worker = Worker(answers, most_waiting=10_000)
    hosts = frozenset({asgi.HOST, "127.0.0.1"})
    desk = Desk(folder, {"bundled": ScriptedModel("bundled", ("hm",), True)})
    app = make_app(worker, ABOUT, hosts=hosts, rate=Rate(burst=1 << 30), desk=desk)
    desk.open("rehearsal").play = lambda turns=None: None  # no thread beside the fuzzing
    yield schemathesis.openapi.from_asgi("/api/openapi.json", app), app, worker
    desk.close()
    worker.close()


@pytest.fixture(scope="module")
def names(api):
    """One answered question of each kind, by its name."""
    from asgi import post

    _, app, worker = api
    found = {}
    for kind in KINDS:
        needed = {"cone": {"at": "0,0"}, "cut": {"edges": ["*.*:0>1"], "how": "mask"}}
        more = needed.get(kind, {})
        asked = {"client": f"client-{kind}", "question": {"ask": kind, "text": TEXT, **more}}
        found[kind] = post(app, "/api/questions", asked).json()["id"]
    end = {name: worker.get(name) for name in found.values()}
    while not all(job.has_ended for job in end.values()):
        pass
    assert {job.state for job in end.values()} == {"done"}
    return found


QUESTION = "/api/questions/{name}"
OPERATIONS = [
    ("GET", "/api/about"),
    ("POST", "/api/questions"),
    ("DELETE", QUESTION),
    ("GET", f"{QUESTION}/events"),
    ("GET", f"{QUESTION}/answer"),
    ("GET", f"{QUESTION}/trace.safetensors"),
    ("GET", f"{QUESTION}/page.html"),
    ("GET", "/api/claims"),
    ("GET", "/api/room"),
    ("POST", "/api/room"),
    ("POST", "/api/room/deeds"),
    ("GET", "/api/room/pictures/{name}"),
    ("GET", "/api/room/export.{form}"),
    ("GET", "/api/room/events"),
]
REFUSING = {("POST", "/api/room"), ("GET", "/api/room/pictures/{name}")}  # no made-up name is there
ENDLESS = {("GET", "/api/room/events")}  # fmt: skip


def test_every_operation_is_asked(api):
    found = [one.ok() for one in api[0].get_all_operations()]
    assert {(one.method.upper(), one.path) for one in found} == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one not in ENDLESS])
def test_whatever_is_asked_the_answer_is_as_described(api, names, method, path):
    seen: set[int] = set()
    numbers = itertools.count()

    @PATIENT
    @given(case=api[0][path][method].as_strategy())
    def answered(case) -> None:
        if "name" in case.path_parameters:
            number = next(numbers)
            if number % 3:  # else it is an unknown one
                case.path_parameters["name"] = names[KINDS[number % len(KINDS)]]
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        assert response.headers["x-content-type-options"] == ["nosniff"]
        seen.add(response.status_code)

    answered()
    if (method, path) in REFUSING:
        assert seen <= {404, 409, 422}, seen
    else:
        assert seen & {200, 202, 204}, seen  # some were no mistake


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_every_kind_is_as_described(api, names, kind):
    operation = api[0]["/api/questions/{name}/answer"]["GET"]
    case = operation.Case(path_parameters={"name": names[kind]})
    response = case.call()
    assert response.status_code == 200
    case.validate_response(response, checks=CHECKS)
    broken = operation.Case(path_parameters={"name": "unknown"}).call()
    assert broken.status_code == 404


def test_the_description_would_notice_another_answer(api, names):
    """What is declared is not so wide that anything passes."""
    import jsonschema

    whole = api[1].app.openapi()
    answer = whole["paths"]["/api/questions/{name}/answer"]["get"]["responses"]["200"]
    described = answer["content"]["application/json"]["schema"] | {
        "components": whole["components"]
    }
    check = jsonschema.Draft202012Validator(described)
    for kind, part in parts().items():
        assert check.is_valid({kind: part})
        assert not check.is_valid(
            {kind: {name: v for name, v in part.items() if name != "target"} | {"x": 1}}
        )
    assert not check.is_valid({"bytes": -1})
    assert not check.is_valid({"message": "wrong"})
