// Bundles the front end into the Python package; with --tests, the unit tests into out/tests.
import { readdir, readFile, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const web = fileURLToPath(new URL("..", import.meta.url));

/** The licences of every package that went into the bundle, each text once. */
async function licencesOf(metafile) {
  const names = new Set();
  for (const path of Object.keys(metafile.inputs)) {
    const name = path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1];
    if (name) names.add(name);
  }
  const byText = new Map();
  for (const name of [...names].sort()) {
    const text = (await readFile(`${web}/node_modules/${name}/LICENSE`, "utf8")).trim();
    byText.set(text, [...(byText.get(text) ?? []), name]);
  }
  const parts = [...byText].map(([text, owners]) => `${owners.join(", ")}\n\n${text}`);
  return `/*\nThis file contains:\n\n${parts.join("\n\n")}\n*/`;
}

async function buildTests() {
  const tests = (await readdir(`${web}/test`)).filter((name) => name.endsWith(".test.ts"));
  await rm(`${web}/out/tests`, { recursive: true, force: true });
  await esbuild.build({
    absWorkingDir: web,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: "out/tests",
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "warning",
  });
}

async function buildStatic() {
  const options = {
    absWorkingDir: web,
    entryPoints: [
      { in: "src/main.ts", out: "worldline" },
      { in: "src/worldline.css", out: "worldline" },
    ],
    outdir: "../src/worldline/views/static",
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome123", "firefox121", "safari17.5"],
    charset: "ascii",
    legalComments: "none",
    metafile: true,
  };
  const { metafile } = await esbuild.build({ ...options, write: false, logLevel: "silent" });
  await esbuild.build({ ...options, banner: { js: await licencesOf(metafile) }, logLevel: "info" });
}

await (process.argv.includes("--tests") ? buildTests() : buildStatic());
