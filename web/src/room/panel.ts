// The tab "Room": the list of rooms, or the one that is open, as its events come.
import { h } from "../dom.ts";
import { keepingFocus } from "../focus.ts";
import { RoomClient, wordsOf } from "./client.ts";
import { Head } from "./head.ts";
import { forks, lineTo, newestFrom } from "./line.ts";
import { RoomList } from "./list.ts";
import { savesOf } from "./saves.ts";
import { matrixOf } from "./matrix.ts";
import { People } from "./people.ts";
import { Pictures } from "./pictures.ts";
import { huesOf } from "./reading.ts";
import { Say } from "./say.ts";
import { seen } from "./spans.ts";
import { rowsOf } from "./story.ts";
import { Talk } from "./talk.ts";
import type { Deed, Event, Heard, Piece, Rooms, Standing } from "./wire.ts";

const LOOK_MS = 2500;
const LONGEST_TOLD = 300; // characters of a message that are read out

export class RoomPanel {
  readonly element = h("section", { class: "wl-panel wl-room", "aria-label": "Room" });
  private readonly list: RoomList;
  private readonly head: Head;
  private readonly people: People;
  private readonly talk: Talk;
  private readonly pictures: Pictures;
  private readonly matrix = h("div", {});
  private readonly banner = h(
    "p",
    { class: "wl-room-banner", hidden: true },
    h("span", { text: "You look at another branch. The conversation goes on elsewhere; branch from a message to go on here." }),
    h("button", { type: "button", text: "Back to the newest", on: { click: () => this.look(null) } }),
  );
  private readonly trouble = h("p", { class: "wl-room-trouble", role: "status", hidden: true });
  private readonly heard = h("div", { class: "wl-unseen", role: "log", "aria-live": "polite", "aria-label": "New lines" });
  private readonly room: HTMLElement;
  private quiet: (() => void) | null = null;
  private rooms: Rooms | null = null;
  private name = "";
  private events: Event[] = [];
  private standing: Standing | null = null;
  private piece: Piece = { who: "", text: "" };
  /** The end of the branch that is looked at; null: the newest event's. */
  private looked: number | null = null;
  private told = 0;
  private drawn = { last: -1, looked: null as number | null };
  private planned = false;
  private begun = false;
  private opening = false;
  private watching: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: RoomClient) {
    const onDeed = (deed: Deed, say: (wrong: string) => void): void => void this.deed(deed, say);
    this.list = new RoomList({ onOpen: (which) => void this.open(which), onBack: () => this.rooms?.open && this.enter(this.rooms.open) });
    this.head = new Head({ onDeed, onClose: () => void this.toList("") });
    this.people = new People(onDeed);
    this.pictures = new Pictures((name) => client.picture(name));
    this.talk = new Talk(this.pictures, {
      onBranch: (number) => void this.branch(number),
      onShow: (number) => this.talk.reveal(number),
      onLook: (number) => this.look(newestFrom(this.events, number)),
    });
    const side = h("aside", { class: "wl-room-side", "aria-label": "The room" }, this.people.element, this.matrix, savesOf((form) => client.save(form, this.name)));
    this.room = h("div", { class: "wl-room-open-one" }, this.head.element, this.trouble, this.banner, this.talk.element, side, new Say(onDeed).element, this.heard);
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "?" && event.key !== "Escape") event.stopPropagation(); // the lattice's keys mean nothing here
    });
  }

  /** Called with every change of the page: the first time that the tab is open, what stands is asked. */
  show(open: boolean): void {
    if (!open) return;
    if (!this.begun) void this.begin();
    this.talk.restore();
    this.plan();
  }

  private async begin(): Promise<void> {
    this.begun = true;
    this.element.replaceChildren(h("p", { class: "wl-hint", role: "status", text: "Asking what is open …" }));
    try {
      this.rooms = await this.client.rooms();
      if (this.rooms.open) this.enter(this.rooms.open);
      else this.showList("");
    } catch (error) {
      this.begun = false; // the next look asks again
      this.element.replaceChildren(h("p", { class: "wl-wrong", role: "alert", text: wordsOf(error) }));
    }
  }

  private async open(which: { scenario: string } | { log: string }): Promise<void> {
    this.opening = true;
    try {
      this.rooms = await this.client.open(which);
      if (this.rooms.open) this.enter(this.rooms.open);
    } catch (error) {
      this.list.said(wordsOf(error));
    }
    this.opening = false;
  }

  private enter(standing: Standing): void {
    this.leave();
    this.name = standing.name;
    this.standing = standing;
    this.told = standing.tip;
    this.people.models(this.rooms?.models ?? []);
    this.head.said("");
    this.element.replaceChildren(this.room);
    this.quiet = this.client.listen(standing.name, {
      heard: (what) => this.hear(what),
      linked: (trouble) => this.linked(trouble),
      gone: () => void this.toList("The room was closed: another one was opened, or the server ends."),
      last: () => this.events.length,
    });
    this.plan();
  }

  private leave(): void {
    this.quiet?.();
    this.quiet = null;
    this.events = [];
    this.standing = null;
    this.piece = { who: "", text: "" };
    this.looked = null;
    this.banner.hidden = true;
    this.drawn = { last: -1, looked: null };
    this.talk.clear();
    this.pictures.clear();
    this.heard.replaceChildren();
    this.linked(null);
  }

  private async toList(why: string): Promise<void> {
    this.leave();
    try {
      this.rooms = await this.client.rooms();
    } catch (error) {
      why = wordsOf(error);
    }
    this.showList(why);
  }

  private showList(why: string): void {
    if (this.rooms) this.list.show(this.rooms, why);
    else this.list.said(why);
    this.element.replaceChildren(this.list.element);
    this.watch(why);
  }

  /** Others open rooms too: while the list is seen, it is asked for now and then. */
  private watch(why: string): void {
    clearTimeout(this.watching);
    this.watching = setTimeout(() => void this.lookAgain(why), LOOK_MS);
  }

  private async lookAgain(why: string): Promise<void> {
    const there = (): boolean => this.element.contains(this.list.element) && !this.opening;
    if (there() && document.visibilityState === "visible" && this.element.getClientRects().length > 0) {
      const rooms = await this.client.rooms().catch(() => null);
      if (rooms && there() && JSON.stringify(rooms) !== JSON.stringify(this.rooms)) {
        this.rooms = rooms;
        keepingFocus(this.element, () => this.list.show(rooms, why));
      }
    }
    if (this.element.contains(this.list.element)) this.watch(why);
  }

  private linked(trouble: string | null): void {
    this.trouble.hidden = trouble === null;
    if (this.trouble.textContent !== (trouble ?? "")) this.trouble.textContent = trouble ?? "";
  }

  private hear({ event, data }: Heard): void {
    if (event === "event" && data.number === this.events.length + 1) this.events.push(data);
    if (event === "piece") this.piece = data;
    if (event === "standing") this.standing = data;
    this.plan();
  }

  /** Draw once for all that comes before the next frame. */
  private plan(): void {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      if (this.quiet && this.element.isConnected) this.draw();
    });
  }

  private draw(): void {
    const last = this.events.length;
    const line = lineTo(this.events, this.looked ?? last);
    const hues = huesOf(line);
    if (this.drawn.last !== last || this.drawn.looked !== this.looked) {
      this.drawn = { last, looked: this.looked };
      this.banner.hidden = this.looked === null; // with the list, which is of the same branch
      this.talk.show(line, rowsOf(line, forks(this.events, line)));
      const matrix = matrixOf(line, hues);
      this.matrix.replaceChildren(...(matrix ? [matrix] : []));
      this.tell();
    }
    this.talk.write(this.looked === null ? this.piece : { who: "", text: "" });
    if (this.standing) {
      this.head.show(this.standing);
      this.people.show(this.standing, hues);
    }
  }

  /** Read out what is new: whole messages and the room's notices, no pieces. */
  private tell(): void {
    const fresh = this.events.slice(this.told);
    this.told = Math.max(this.told, this.events.length);
    for (const { body } of fresh) {
      const words = body.kind === "message" ? `${body.who}: ${body.shown}` : body.kind === "notice" ? body.text : "";
      if (words) this.heard.append(h("p", { text: seen(Array.from(words).slice(0, LONGEST_TOLD).join("")) }));
    }
    while (this.heard.childElementCount > 20) this.heard.firstElementChild?.remove();
  }

  /** Look at another branch; null goes back to the newest. */
  private look(number: number | null): void {
    this.looked = number;
    this.talk.toEnd();
    this.plan();
  }

  private async branch(number: number): Promise<void> {
    await this.deed({ do: "branch", number }, (wrong) => {
      this.head.said(wrong);
      if (wrong === "") this.look(null);
    });
  }

  /** Do something; `say` is told what went wrong, or "" where it was done. */
  private async deed(deed: Deed, say: (wrong: string) => void): Promise<void> {
    try {
      await this.client.deed(deed); // how the room stands then comes by the stream, in order
      say("");
    } catch (error) {
      say(wordsOf(error));
    }
    this.plan();
  }
}
