// Fails where a function of the front end or of its tests is longer than it should be, what is nested in it included.
import { fileURLToPath } from "node:url";
import { API } from "typescript/unstable/sync";
import { isFunctionLikeDeclaration } from "typescript/unstable/ast/is";

const MOST_LINES = 80;

const web = fileURLToPath(new URL("..", import.meta.url));
const api = new API({ cwd: web });
const { program } = api.updateSnapshot({ openProjects: ["tsconfig.json"] }).getProjects()[0];
const lengths = [];
for (const path of program.getSourceFileNames().filter((name) => /\/web\/(src|test)\/.*(?<!\.gen)\.ts$/.test(name))) {
  const file = program.getSourceFile(path);
  const lineAt = (position) => file.text.slice(0, position).split("\n").length;
  const visit = (node) => {
    if (isFunctionLikeDeclaration(node) && node.body) {
      const first = lineAt(node.getStart(file));
      lengths.push({ place: `${path.slice(web.length)}:${first}`, name: node.name?.text ?? "", lines: lineAt(node.end) - first + 1 });
    }
    node.forEachChild(visit);
  };
  visit(file);
}
api.close();
lengths.sort((a, b) => b.lines - a.lines);
const tooLong = lengths.filter(({ lines }) => lines > MOST_LINES);
for (const { place, name, lines } of tooLong.length > 0 ? tooLong : lengths.slice(0, 1)) console.log(`${place} ${name}: ${lines} lines (at most ${MOST_LINES})`);
if (tooLong.length > 0 || lengths.length === 0) process.exitCode = 1;
