"""A stop is never lost, and ends what computes here between two of its steps."""

from __future__ import annotations

import threading

import pytest

from scripted_rooms import notices, outcomes, room_of, said
from tiny_folder import tiny_folder
from worldline import steps
from worldline.errors import InputError
from worldline.models.loader import LoadedModel, load_model
from worldline.room.actions import ActionRequest, Deeds
from worldline.room.host import HostedRoom
from worldline.room.images import Portraits
from worldline.room.log import Log
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import ChatMessage, Delta, Settings, Usage
from worldline.room.providers.local_model import Local
from worldline.room.providers.stop_signal import stoppable
from worldline.room.room import Room


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LoadedModel:
    return load_model(str(tiny_folder(tmp_path_factory.mktemp("tiny"), n_pos=2048)))


class Looks:
    """Counts how often somebody asks whether it may go on; says no from the `last` on."""

    def __init__(self, last: int) -> None:
        self.n, self.last = 0, last

    def __call__(self) -> bool:
        self.n += 1
        return self.n >= self.last


def test_a_stop_before_the_thread_of_a_room_runs_holds(monkeypatch):
    begun: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", lambda one: begun.append(one))
    hosted = HostedRoom("a", lambda _watch: room_of({"Ada": ["one", "two"]}, loops=True))
    hosted.play(5)
    hosted.room.stop("at once")
    begun[0].run()
    assert said(hosted.room) == []
    assert hosted.room.state.playing == "stopped"


def test_a_stop_in_the_middle_of_resuming_holds():
    room = room_of({"Ada": ["one"]}, loops=True)
    room.pause()
    there, done = threading.Event(), threading.Event()

    class Lock:
        """The room's lock, at which the stop waits until the room was resumed."""

        def __enter__(self):
            if threading.current_thread() is stopping:
                there.set()
                assert done.wait(10)
            inner.acquire()

        def __exit__(self, *_):
            inner.release()

    inner, room._lock = room._lock, Lock()
    stopping = threading.Thread(target=room.stop)
    stopping.start()
    assert there.wait(10)
    room.resume()
    done.set()
    stopping.join(10)
    assert room.take_turns(5) == 0
    assert room.state.playing == "stopped"
    assert room._stop.is_set()


def test_playing_again_while_what_was_stopped_still_ends_is_refused(monkeypatch):
    monkeypatch.setattr("worldline.room.host.ENDING_SECONDS", 0.01)
    go, began = threading.Event(), threading.Event()

    class Deaf:
        name, scripted, alternates, context_tokens = "deaf", False, False, None

        def count_tokens(self, _messages):
            return 1

        def reply(self, _messages, _settings):
            began.set()
            assert go.wait(10)
            yield Delta("hm")
            yield Usage()

    def made(watch):
        room = Room(Log(), Catalog({"deaf": Deaf()}), watch=watch)
        room.join("Ada", "deaf")
        return room

    hosted = HostedRoom("a", made)
    hosted.play(1)
    assert began.wait(10)
    hosted.room.stop()
    with pytest.raises(InputError, match="try again in a moment"):
        hosted.play(1)
    go.set()
    hosted._thread.join(10)
    hosted.play(1)
    hosted._thread.join(10)
    assert said(hosted.room) == [("Ada", "hm")]


def test_a_branch_right_after_a_reply_was_shown_waits_for_the_end_of_its_turn():
    shown, go = threading.Event(), threading.Event()

    def slow(event):
        if getattr(event, "kind", "") == "message":
            shown.set()
            assert go.wait(10)

    def made(watch):
        room = room_of({"Ada": ["one"]}, loops=True)
        room._watch = lambda event: (watch(event), slow(event))
        return room

    hosted = HostedRoom("a", made)
    hosted.play(1)
    assert shown.wait(10)
    threading.Timer(0.05, go.set).start()
    hosted.branch(1)
    assert notices(hosted.room, "branch") == ["the conversation goes on from event 1"]


def test_reading_a_prompt_ends_between_two_parts(model):
    looks = Looks(10**9)
    prompt = (ChatMessage("user", "the sea and the sky " * 8),)
    with stoppable(looks):
        drawn = Local(model, "tiny").reply(prompt, Settings(0.0, 0, 1))
        next(iter(drawn))
    ran: list[int] = []
    layers = model.module.model.layers
    handles = [
        layer.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, layer in enumerate(layers)
    ]
    assert looks.n >= len(list(model.module.modules()))
    with stoppable(Looks(looks.n // 2)), pytest.raises(steps.StoppedError, match="it was stopped"):
        next(iter(Local(model, "tiny").reply(prompt, Settings(0.0, 0, 1))))
    for handle in handles:
        handle.remove()
    assert len(ran) < len(layers)
    assert not any(part._forward_pre_hooks for part in model.module.modules())


def test_a_room_notes_a_local_reply_that_was_stopped_on_its_way(model):
    room = Room(Log(), Catalog({"tiny": Local(model, "tiny")}))
    room.join("Ada", "tiny")
    looks = Looks(12)
    room._stop.is_set = looks
    assert room.step() is None
    assert notices(room, "no_reply") == ["Ada did not answer: it was stopped"]
    assert notices(room, "broken") == []


def test_a_portrait_ends_between_two_steps(model):
    room = room_of({"Ada": ['!image "the sea"']}, deeds=Deeds(Portraits(lambda _: model, None)))
    asked: list[ActionRequest] = []

    def draw(one):
        asked.append(one)
        room._stop.set()  # as a person would, while it is drawn
        return Portraits(lambda _: model, lambda: model)(one)

    room._means = type(room._means)(room.catalog, Deeds(draw), room.log.keep)
    room.step()
    assert len(asked) == 1
    assert outcomes(room) == [("image", "failed", "it was stopped")]
