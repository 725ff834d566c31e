/** Who did what, the newest first; and whether that is still what was written. */

import { useState } from "preact/hooks";
import { Badge } from "../parts/badge";
import { Choice, named } from "../parts/choice";
import { Cli } from "../parts/copy";
import { Empty, Problem } from "../parts/empty";
import { usePolled } from "../parts/polled";
import { Table } from "../parts/table";
import { count, moment, plain, plural } from "../parts/words";
import { refused } from "../store/session";
import { api } from "../wire/api";
import type { AuditRow, AuditVerdict } from "../wire/books";

const ALL = { value: "", words: "all" };
const KINDS = ["audit", "certificate", "config", "endpoint", "head", "key", "member", "model", "node", "ray", "token"];
const OUTCOMES = ["begun", "done", "refused", "failed"];
const SHOWN = 50;
const EVERY_MS = 10_000;

export function AuditPage() {
  const [action, setAction] = useState("");
  const [outcome, setOutcome] = useState("");
  const [text, setText] = useState("");
  const [pages, setPages] = useState<number[]>([]); // where each older page that was opened begins
  const before = pages[pages.length - 1] ?? "";
  const asked = { limit: SHOWN, action, outcome, text, before };
  const { answer, problem } = usePolled(() => api.audit(asked), JSON.stringify(asked), EVERY_MS);
  const narrow = (set: (value: string) => void) => (value: string) => {
    setPages([]);
    set(value);
  };
  return (
    <>
      <Cli command={`potluck audit tail -n ${SHOWN}`} />
      <Verdict />
      <div class="questions">
        <Choice title="About" value={action} options={[ALL, ...named(KINDS)]} choose={narrow(setAction)} />
        <Choice title="Outcome" value={outcome} options={[ALL, ...named(OUTCOMES)]} choose={narrow(setOutcome)} />
        <label>
          Who, what or which request
          <input type="search" maxLength={64} value={text} onChange={(event) => narrow(setText)(event.currentTarget.value.trim())} />
        </label>
      </div>
      {problem && <Problem text={problem} />}
      {answer?.rows.length === 0 && (
        <Empty text="No record is like that. All of them, as they come:" command="potluck audit tail -f" />
      )}
      {answer && answer.rows.length > 0 && <Records rows={answer.rows} />}
      {answer && (pages.length > 0 || answer.before != null) && (
        <div class="pager">
          <button type="button" disabled={pages.length === 0} onClick={() => setPages(pages.slice(0, -1))}>
            Newer
          </button>
          <button type="button" disabled={answer.before == null} onClick={() => setPages([...pages, answer.before ?? 0])}>
            Older
          </button>
        </div>
      )}
    </>
  );
}

function Records({ rows }: { rows: AuditRow[] }) {
  return (
    <Table
      caption="Records, newest first"
      rows={rows}
      keyOf={(row) => row.sequence}
      columns={[
        { title: "record", cell: (row) => count(row.sequence) },
        { title: "time", cell: (row) => moment(row.at) },
        { title: "action", cell: (row) => row.action },
        { title: "outcome", cell: (row) => <Badge state={row.outcome} /> },
        { title: "who", cell: (row) => who(row) },
        { title: "target", cell: (row) => row.target },
        { title: "details", wide: true, cell: (row) => details(row) },
      ]}
    />
  );
}

function who({ actor, personal }: AuditRow): string {
  const name = actor.name || personal.person || "";
  return [actor.kind, name, actor.role && `(${actor.role})`].filter(Boolean).join(" ");
}

function details(row: AuditRow): string {
  const said = Object.entries({ ...row.details, ...row.personal });
  return said.map(([name, value]) => `${plain(name)} ${value}`).join(", ");
}

/** All of the log is read for it, so it is only done when somebody asks. */
function Verdict() {
  const [found, setFound] = useState<AuditVerdict | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const verify = async () => {
    setAsking(true);
    setProblem(null);
    try {
      setFound(await api.auditVerdict());
    } catch (error) {
      setProblem(refused(error));
    }
    setAsking(false);
  };
  return (
    <section class="card verdict-card" aria-label="Verification">
      <header>
        <h2>Is it as it was written?</h2>
        <button type="button" disabled={asking} onClick={() => void verify()}>
          {asking ? "Reading …" : "Verify"}
        </button>
      </header>
      <div role="status">
        {!found && !problem && (
          <p class="quietly">Every record is chained to the one before it, and checkpoints are signed. Not verified yet in this page.</p>
        )}
        {found && <Outcome found={found} />}
      </div>
      {problem && <Problem text={problem} />}
      <Cli command="potluck audit verify" />
    </section>
  );
}

function Outcome({ found }: { found: AuditVerdict }) {
  const { finding } = found;
  const through = finding && finding.through !== finding.sequence ? ` to ${count(finding.through)}` : "";
  return (
    <>
      <p>
        {finding ? <Badge state={`not as it was written: ${finding.fault}`} tone="bad" /> : <Badge state="as it was written" tone="good" />}{" "}
        {plural(found.records, "record")} read, {count(found.first)} to {count(found.last)}. Checkpoints that agree:{" "}
        {found.agreeing.map(([keeper, number]) => `${count(number)} of ${keeper}`).join(", ") || "none"}.
      </p>
      {finding && (
        <p class="why">
          Record {count(finding.sequence)}
          {through}: {finding.message}
        </p>
      )}
      {found.unasked.length > 0 && <p class="why">Copies that were not compared: {found.unasked.join("; ")}</p>}
      <p class="quietly path">key {found.public_key}</p>
    </>
  );
}
