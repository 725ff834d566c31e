/** One space: what it is, how far its files are read, what can be found in it, and whose it is. */

import { useEffect, useState } from "preact/hooks";
import { Access } from "./knowledge_access";
import { AddFiles } from "./knowledge_add";
import { FileDrawer, type Opened } from "./knowledge_file";
import { Failed, Files } from "./knowledge_files";
import { Search } from "./knowledge_search";
import { Kind, Standing } from "./knowledge_standing";
import { Bar, Legend } from "../parts/bar";
import { Cli } from "../parts/copy";
import { Problem } from "../parts/empty";
import { usePolled } from "../parts/polled";
import { quoted } from "../parts/shell";
import { bytes, count, moment, plural } from "../parts/words";
import { addressOf } from "../store/place";
import { may } from "../store/session";
import { nameOf, type FileCounts, type Space } from "../wire/knowledge";
import { knowledge } from "../wire/knowledge_api";

const BUSY_MS = 1000;
const CALM_MS = 10_000;

export function SpacePage({ id }: { id: string }) {
  const [busy, setBusy] = useState(false);
  const { answer, problem, again } = usePolled(() => knowledge.space(id), String(busy), busy ? BUSY_MS : CALM_MS);
  useEffect(() => setBusy((answer?.file_counts.in_progress ?? 0) > 0), [answer]);
  return (
    <>
      <Cli command={answer ? `potluck rag ls --space ${quoted(nameOf(answer))}` : "potluck rag spaces"} />
      <p>
        <a href={addressOf("knowledge")}>← All spaces</a>
      </p>
      {problem && <Problem text={problem} />}
      {!answer && !problem && <p class="quietly">Asking for the space …</p>}
      {answer && <Whole space={answer} again={again} />}
    </>
  );
}

function Whole({ space, again }: { space: Space; again: () => void }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const rights = space.potluck.rights;
  return (
    <>
      <Facts space={space} />
      {rights.includes("read") && space.file_counts.completed > 0 && (
        <Search spaces={[space]} open={(file, version) => setOpened({ file, version })} />
      )}
      <Access space={space} again={again} />
      {rights.includes("change") && <AddFiles space={space} again={again} />}
      {rights.includes("read") && space.file_counts.failed > 0 && <Failed space={space} again={again} />}
      {rights.includes("read") && <Files space={space} open={(file) => setOpened({ file })} />}
      {rights.includes("read") && may("operate") && <Folders space={space} />}
      {opened && <FileDrawer key={opened.file} space={space} opened={opened} close={() => setOpened(null)} />}
    </>
  );
}

function Facts({ space }: { space: Space }) {
  const { potluck: more, file_counts: counts } = space;
  const facts: [string, string][] = [
    ["documents", count(counts.completed)],
    ["chunks", count(more.chunks)],
    ["size", bytes(space.usage_bytes)],
    ["encoder", more.embedding_model],
    ["last used", moment(space.last_active_at)],
    ["made", moment(space.created_at)],
    ["versions kept", kept(space)],
    ...(space.expires_at === null ? [] : [["goes away", moment(space.expires_at)] as [string, string]]),
  ];
  return (
    <section aria-label="The space">
      <div class="space-head">
        <h2>{nameOf(space)}</h2>
        <Kind space={space} />
        <Standing space={space} />
      </div>
      {space.description && <p class="note">{space.description}</p>}
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Progress counts={counts} />
    </section>
  );
}

function kept({ potluck: { history } }: Space): string {
  if (!history) return "all";
  const [versions, days] = [history.versions, history.days];
  const said = [versions === null ? "" : `the last ${plural(versions, "one")}`, days === null ? "" : `for ${plural(days, "day")}`];
  return said.filter(Boolean).join(", ") || "all";
}

/** Drawn while files are being read, and said for ears at each step. */
function Progress({ counts }: { counts: FileCounts }) {
  const { completed, in_progress: reading, failed, cancelled, total } = counts;
  const parts = [
    { name: "read", value: completed, look: "weights", words: count(completed) },
    { name: "could not be read", value: failed, look: "reserved", words: count(failed) },
    { name: "cancelled", value: cancelled, look: "other", words: count(cancelled) },
    { name: "being read", value: reading, look: "free", words: count(reading) },
  ].filter((part) => part.value > 0);
  return (
    <>
      <p role="status" class="quietly">
        {said(counts)}
      </p>
      {reading > 0 && (
        <div class="pool">
          <Bar label="How far reading is" parts={parts} whole={total} />
          <Legend parts={parts} />
        </div>
      )}
    </>
  );
}

function said({ completed, in_progress: reading, failed, total }: FileCounts): string {
  if (total === 0) return "No file is in it yet.";
  const bad = failed > 0 ? ` ${plural(failed, "file")} could not be read.` : "";
  if (reading > 0) return `${count(completed)} of ${plural(total, "file")} are read, ${count(reading)} being read.${bad}`;
  if (failed === 0 && completed === total) return total === 1 ? "The file is read." : `All ${plural(total, "file")} are read.`;
  return `${count(completed)} of ${plural(total, "file")} are read.${bad}`;
}

/** Folders of the gateway's machine are whoever runs it's business. */
function Folders({ space }: { space: Space }) {
  const { answer, problem } = usePolled(knowledge.folders, space.id, CALM_MS);
  const mine = answer?.data.filter((folder) => folder.vector_store_id === space.id) ?? [];
  if (problem) return <Problem text={problem} />;
  if (mine.length === 0) return null;
  return (
    <section>
      <h2>Folders that are read into it</h2>
      <ul class="bullets">
        {mine.map((folder) => (
          <li key={folder.id}>
            <code class="path">{folder.path}</code>{" "}
            <span class="quietly">
              {folder.watched ? "watched" : "read once"}, looked at {moment(folder.looked_at)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
