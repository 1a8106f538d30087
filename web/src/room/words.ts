// Numbers and marks of a room in words.

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
export const nats = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)} nats`;

/** What a claim without a command is called; the names are those of room/claims.py. */
export const BADGES: Record<string, string> = {
  action: "says that it made or looked up something; this line made nothing",
  entrance: "says that somebody came or went; see the room's own lines for who did",
  attachment: "says that a picture is attached; none is",
  picture: "links to a picture from elsewhere; it was not loaded",
};

/** Web addresses only; anything else is no link. */
export function webAddress(text: string): string | null {
  try {
    const { protocol, href } = new URL(text);
    return protocol === "http:" || protocol === "https:" ? href : null;
  } catch {
    return null;
  }
}
