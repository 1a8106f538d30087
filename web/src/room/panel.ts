// The Room tab: a list of rooms to open, or the one that is open.
import { h } from "../dom.ts";
import type { Server } from "../live/server.ts";
import { RoomClient } from "./client.ts";
import { Conversation } from "./conversation.ts";
import { People } from "./people.ts";
import type { Rooms, Standing } from "./wire.ts";

const FORMS = { md: "Markdown", json: "JSON", html: "one HTML file" } as const;

export class RoomPanel {
  readonly element = h("div", { class: "wl-room" });
  private readonly client: RoomClient;
  private readonly talk: Conversation;
  private readonly people: People;
  private readonly list = h("div", { class: "wl-room-open" });
  private readonly room: HTMLElement;
  private readonly title = h("h2", {});
  private readonly said = h("p", { class: "wl-room-said", role: "status" });
  private readonly play: HTMLButtonElement;
  private readonly images = new Map<string, string>();
  private begun = false;
  private standing: Standing | null = null;

  constructor(private readonly server: Server) {
    this.client = new RoomClient(server, {
      onEvents: () => this.talk.fill(this.client.events),
      onPiece: (piece) => this.talk.write(piece),
      onStanding: (standing) => this.stand(standing),
      onClosed: () => void this.choose("The room was closed."),
      onQuiet: (why) => this.say(why ?? ""),
    });
    this.talk = new Conversation(
      {
        onBranch: (number) => void this.do({ do: "branch", number }),
        onPicture: (name, into) => void this.picture(name, into),
      },
      (known, hues) => this.people.fill(known, hues),
    );
    this.people = new People({ onDo: (deed) => void this.do(deed) });
    this.play = this.button("Play", () => void this.do({ do: this.standing?.talking ? "pause" : "play" }));
    this.room = h(
      "div",
      { class: "wl-room-room" },
      h(
        "header",
        { class: "wl-room-head" },
        this.title,
        this.play,
        this.button("Step", () => void this.do({ do: "play", turns: 1 })),
        this.button("Stop", () => void this.do({ do: "stop" })),
        ...Object.entries(FORMS).map(([form, name]) => this.button(form.toUpperCase(), () => void this.save(form), `Save as ${name}`)),
        this.button("Rooms", () => void this.choose("")),
      ),
      h("div", { class: "wl-room-body" }, h("div", { class: "wl-room-left" }, this.talk.element, this.speaking()), this.people.element),
    );
    this.element.append(this.said, this.list);
  }

  /** The tab is looked at: what is open is listened to from now on. */
  show(): void {
    if (this.begun) return;
    this.begun = true;
    void this.begin();
  }

  private async begin(): Promise<void> {
    const rooms = await this.trying(() => this.client.rooms());
    if (!rooms) this.begun = false;
    else if (rooms.open) this.enter(rooms);
    else this.offer(rooms);
  }

  /** Leave the room as it is, and show what can be opened. */
  private async choose(why: string): Promise<void> {
    this.client.leave();
    const rooms = await this.trying(() => this.client.rooms());
    if (rooms) this.offer(rooms);
    if (why) this.say(why);
  }

  private offer(rooms: Rooms): void {
    const opening = (what: { scenario: string } | { log: string }) => async (): Promise<void> => {
      const opened = await this.trying(() => this.client.open(what));
      if (opened) this.enter(opened);
    };
    const { open } = rooms;
    this.list.replaceChildren(
      h("h2", { text: "A room: several AIs in one conversation" }),
      h("p", { class: "wl-hint", text: "Each reply of a model in this process shows whose words it drew on. Everything is kept in a log, and can be gone on with." }),
      ...(open ? [h("p", {}, this.button(`Back to ${open.title}`, () => this.enter(rooms)))] : []),
      h(
        "ul",
        { class: "wl-room-choices" },
        ...rooms.scenarios.map(({ name, title, about }) =>
          h("li", {}, h("b", { text: title }), h("span", { text: about }), this.button("Open", () => void opening({ scenario: name })(), `Open ${title}`)),
        ),
      ),
      ...(rooms.logs.length > 0
        ? [
            h("h3", { text: "Go on with" }),
            h("ul", { class: "wl-room-choices" }, ...rooms.logs.map((log) => h("li", {}, h("span", { text: log }), this.button("Go on", () => void opening({ log })(), `Go on with ${log}`)))),
          ]
        : []),
    );
    this.say("");
    this.element.replaceChildren(this.said, this.list);
  }

  private enter({ open, models }: Rooms): void {
    if (!open) return;
    this.talk.clear();
    this.people.offer(models);
    this.stand(open);
    this.say("");
    this.element.replaceChildren(this.said, this.room);
    void this.client.listen();
  }

  private stand(standing: Standing): void {
    this.standing = standing;
    this.title.textContent = standing.title;
    this.play.textContent = standing.talking ? "Pause" : "Play";
    this.people.show(standing);
  }

  private async do(deed: { do: string; [name: string]: unknown }): Promise<boolean> {
    const done = await this.trying(async () => {
      await this.client.do(deed);
      return true;
    });
    if (done) this.say("");
    return done ?? false;
  }

  private speaking(): HTMLElement {
    const who = h("input", { type: "text", maxlength: 60, value: "You", "aria-label": "Your name", autocomplete: "off" });
    const text = h("textarea", { rows: 2, maxlength: 20000, "aria-label": "Your message", placeholder: "Say something; @name addresses somebody" });
    const form = h("form", { class: "wl-room-speaking" }, who, text, h("button", { type: "submit", text: "Say" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.do({ do: "say", who: who.value, text: text.value }).then((done) => done && (text.value = ""));
    });
    text.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    return form;
  }

  private async picture(name: string, into: HTMLImageElement): Promise<void> {
    let address = this.images.get(name);
    if (!address) {
      const blob = await this.trying(async () => (await this.server.call(`api/room/pictures/${encodeURIComponent(name)}`)).blob());
      if (!blob) return;
      address = this.images.get(name) ?? URL.createObjectURL(blob);
      this.images.set(name, address);
    }
    into.src = address;
  }

  private async save(form: string): Promise<void> {
    await this.trying(() => this.server.save(`api/room/export.${form}`, `${this.standing?.name ?? "room"}.${form}`));
  }

  private async trying<T>(what: () => Promise<T>): Promise<T | null> {
    try {
      return await what();
    } catch (error) {
      this.say(error instanceof TypeError ? "The server does not answer; is it still running?" : error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  private say(words: string): void {
    this.said.textContent = words;
    this.said.hidden = words === "";
  }

  private button(text: string, run: () => void, label?: string): HTMLButtonElement {
    return h("button", { type: "button", text, "aria-label": label, title: label, on: { click: run } });
  }
}
