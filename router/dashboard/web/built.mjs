// Says beside the built page from which sources it was built, so that a stale one is found without a build.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
const paths = readdirSync(".", { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`.replaceAll("\\", "/").replace(/^\.\//, ""))
  .filter((path) => !path.startsWith("node_modules/"))
  .sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
const listed = paths.map((path) => `${path} ${hash(readFileSync(path))}\n`).join("");
writeFileSync("../static/BUILT", `${hash(listed)}\n`);
