// From a picture to a file on the reader's disk, without asking any host for anything.
import type { Picture } from "./picture.ts";

const LONGEST_NAME = 40;

/** A name for files about a text: letters and digits of any script, the rest as dashes. */
export function fileName(text: string, ending: string): string {
  const words = Array.from(text.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{N}\p{M}]+/gu, "-").replace(/^-+/, ""));
  const short = words.slice(0, LONGEST_NAME).join("").replace(/-+$/, "");
  return `worldline${short === "" ? "" : `-${short}`}.${ending}`;
}

/** The picture as pixels, `scale` for each of its own. */
export async function png({ svg, width, height }: Picture, scale = 2): Promise<Blob> {
  const image = new Image();
  // A data address, not a blob: the policy of the exported file allows no other.
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas to paint on");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const made = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!made) throw new Error(`this browser makes no image of ${canvas.width} x ${canvas.height} pixels`);
  return made;
}

export function save(content: Blob, name: string): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // some browsers read it only after a while
}
