/** The files of a space: how each stands, and why one could not be read. */

import { useEffect, useState } from "preact/hooks";
import { Badge } from "../parts/badge";
import { Choice } from "../parts/choice";
import { Empty, Problem } from "../parts/empty";
import { usePolled } from "../parts/polled";
import { quoted } from "../parts/shell";
import { Table } from "../parts/table";
import { bytes, count, moment, plain } from "../parts/words";
import { refused } from "../store/session";
import { nameOf, type FileStatus, type Space, type SpaceFile } from "../wire/knowledge";
import { FILES_SHOWN, knowledge } from "../wire/knowledge_api";

const EVERY_MS = 15_000;
const STATUSES: { value: FileStatus | ""; words: string }[] = [
  { value: "", words: "all" },
  { value: "in_progress", words: "being read" },
  { value: "completed", words: "read" },
  { value: "failed", words: "failed" },
  { value: "cancelled", words: "cancelled" },
];

/** Each with the reason that `potluck rag ls` prints. */
export function Failed({ space, again }: { space: Space; again: () => void }) {
  const { failed, completed } = space.file_counts;
  const { answer, problem } = usePolled(() => knowledge.files(space.id, "failed", ""), `${failed} ${completed}`, EVERY_MS);
  const mayChange = space.potluck.rights.includes("change");
  return (
    <section>
      <h2>Could not be read</h2>
      {problem && <Problem text={problem} />}
      {answer && (
        <Table
          caption="Files that could not be read"
          rows={answer.data}
          keyOf={(file) => file.id}
          columns={[
            { title: "file", cell: (file) => file.potluck.filename },
            { title: "why", wide: true, cell: (file) => file.last_error?.message ?? "it could not be read" },
            { title: "kind", cell: (file) => plain(file.last_error?.code ?? "") },
            { title: "found meanwhile", cell: (file) => (file.potluck.version ? `version ${file.potluck.version}` : "nothing") },
            ...(mayChange ? [{ title: "again", cell: (file: SpaceFile) => <Retry space={space} file={file} again={again} /> }] : []),
          ]}
        />
      )}
      {failed > FILES_SHOWN && (
        <Empty text={`These are ${FILES_SHOWN} of ${count(failed)}. All of them:`} command={`potluck rag ls --space ${quoted(nameOf(space))}`} />
      )}
    </section>
  );
}

function Retry({ space, file, again }: { space: Space; file: SpaceFile; again: () => void }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [asked, setAsked] = useState(false);
  const retry = async () => {
    setAsked(true);
    setProblem(null);
    try {
      await knowledge.retry(space.id, file.id);
      again();
    } catch (error) {
      setProblem(refused(error));
    }
    setAsked(false);
  };
  return (
    <>
      <button type="button" class="act" disabled={asked} onClick={() => void retry()} aria-label={`Read again: ${file.potluck.filename}`}>
        Read again
      </button>
      {problem && <Problem text={problem} />}
    </>
  );
}

export function Files({ space, open }: { space: Space; open: (file: string) => void }) {
  const [status, setStatus] = useState<FileStatus | "">("");
  const [pages, setPages] = useState<string[]>([]); // the last file of each page that was gone on from
  const after = pages[pages.length - 1] ?? "";
  const counts = Object.values(space.file_counts).join(" ");
  const { answer, problem } = usePolled(() => knowledge.files(space.id, status, after), `${status} ${after} ${counts}`, EVERY_MS);
  useEffect(() => setPages([]), [status]);
  return (
    <section>
      <div class="section-head">
        <h2>Files</h2>
        <div class="questions">
          <Choice title="Show" value={status} options={STATUSES} choose={(value) => setStatus(value as FileStatus | "")} />
        </div>
      </div>
      {problem && <Problem text={problem} />}
      {answer?.data.length === 0 && status === "" && (
        <Empty text="Nothing is in it. Read a folder of the gateway's machine:" command={`potluck rag ingest ~/documents --space ${quoted(nameOf(space))}`} />
      )}
      {answer?.data.length === 0 && status !== "" && <Empty text="No file is like that." />}
      {answer && answer.data.length > 0 && <Listing files={answer.data} open={open} />}
      {answer && (pages.length > 0 || answer.has_more) && (
        <div class="pager">
          <button type="button" disabled={pages.length === 0} onClick={() => setPages(pages.slice(0, -1))}>
            Newer
          </button>
          <button type="button" disabled={!answer.has_more} onClick={() => setPages([...pages, answer.last_id ?? ""])}>
            Older
          </button>
        </div>
      )}
    </section>
  );
}

function Listing({ files, open }: { files: SpaceFile[]; open: (file: string) => void }) {
  return (
    <Table
      caption="Files, newest first"
      rows={files}
      keyOf={(file) => file.id}
      columns={[
        { title: "file", cell: (file) => <Name file={file} open={open} /> },
        { title: "state", cell: (file) => <Status file={file} /> },
        { title: "version", number: true, cell: (file) => (file.potluck.version ? count(file.potluck.version) : "–") },
        { title: "chunks", number: true, cell: (file) => count(file.potluck.chunks) },
        { title: "size", number: true, cell: (file) => bytes(file.usage_bytes) },
        { title: "added", cell: (file) => moment(file.created_at) },
        { title: "from", cell: (file) => (file.potluck.folder ? <span class="path">{file.potluck.folder}</span> : "uploaded") },
      ]}
    />
  );
}

/** Only what was read has versions to look at. */
function Name({ file, open }: { file: SpaceFile; open: (file: string) => void }) {
  if (!file.potluck.version) return <>{file.potluck.filename}</>;
  return (
    <button type="button" class="quiet in-line" onClick={() => open(file.id)} aria-label={`Versions of ${file.potluck.filename}`}>
      {file.potluck.filename}
    </button>
  );
}

const TOLD: Record<FileStatus, string> = { in_progress: "being read", completed: "read", failed: "failed", cancelled: "cancelled" };
const TONES = { in_progress: "busy", completed: "good", failed: "bad", cancelled: "warn" } as const;

function Status({ file }: { file: SpaceFile }) {
  const waits = file.status === "in_progress" && file.last_error;
  return (
    <>
      <Badge state={TOLD[file.status]} tone={TONES[file.status]} />
      {waits && <span class="quietly"> will be tried again: {file.last_error?.message}</span>}
    </>
  );
}
