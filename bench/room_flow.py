"""What a reply's flow takes, over what the reply took: CPU time of one thread, bundled model.

The reply reads a conversation of about so many tokens and writes so many. Generation is the
model's own, with its K/V cache, sampled as the room does; the flow is one recorded run of all, and
a forward and a backward pass of the reply's columns, as the room asks for it after each reply.

    python bench/room_flow.py [--repeat 3] [--read 250 500 1000] [--write 40 100]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import worldline as wl
from worldline.room.providers.chat_model import ChatMessage, Part, Settings
from worldline.room.providers.local_model import Local, LocalUsage
from worldline.room.reply_reads import flow_of_reply

WORDS = "the river that I remember carries what was said before and never says it twice. "


def conversation(local: Local, n_tokens: int) -> list[ChatMessage]:
    """Two speakers in turn, together about so many tokens."""
    found = [ChatMessage("system", "You are Ada.", (Part(None, "", 0, 12),))]
    while local.count_tokens(found) < n_tokens - 20:
        text = f"Bob: {WORDS}" if len(found) % 2 else WORDS
        start, speaker = (5, "Bob") if len(found) % 2 else (0, "Ada")
        part = Part(len(found), speaker, start, len(text))
        found.append(ChatMessage("user" if len(found) % 2 else "assistant", text, (part,)))
    if found[-1].role == "assistant":
        found.append(ChatMessage("user", "Bob: and then?", (Part(len(found), "Bob", 5, 14),)))
    return found


def timed(local: Local, read: int, write: int, repeat: int) -> tuple[int, int, list[float], list]:
    """(Tokens read, written, seconds of generating, seconds of attribution)."""
    said = conversation(local, read)
    generated, attributed = [], []
    told = LocalUsage()
    for _ in range(repeat):
        began = time.process_time()
        *_, told = local.reply(said, Settings(1.0, 3, write))
        generated.append(time.process_time() - began)
        assert isinstance(told, LocalUsage)
        began = time.process_time()
        flow_of_reply(local.model, told)
        attributed.append(time.process_time() - began)
    return told.tokens_in or 0, len(told.reply_ids), generated, attributed


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--read", type=int, nargs="+", default=[250, 500, 1000])
    options.add_argument("--write", type=int, nargs="+", default=[40, 100])
    given = options.parse_args()
    torch.set_num_threads(1)
    local = Local(wl.load_model(), "bundled")
    timed(local, 60, 5, 1)  # what is done once
    print("| read | written | generating, s | flow, s | flow / generating |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for read in given.read:
        for write in given.write:
            n_read, n_written, generated, attributed = timed(local, read, write, given.repeat)
            one, two = statistics.median(generated), statistics.median(attributed)
            print(f"| {n_read} | {n_written} | {one:.2f} | {two:.2f} | {two / one:.2f} |")


if __name__ == "__main__":
    main()
