/** The last requests, each with where it went; its drawer says why. */

import { RequestDrawer } from "./request_drawer";
import { Badge } from "../parts/badge";
import { Cli } from "../parts/copy";
import { Empty, Problem } from "../parts/empty";
import { usePolled } from "../parts/polled";
import { Table } from "../parts/table";
import { clock, count, milliseconds, plain } from "../parts/words";
import { addressOf, place } from "../store/place";
import { api } from "../wire/api";
import type { DecisionRow } from "../wire/documents";

const SHOWN = 50;
const EVERY_MS = 5000;

export function RequestsPage() {
  const { answer, problem } = usePolled(() => api.decisions(SHOWN), "", EVERY_MS);
  const rows = answer?.rows ?? null;
  const { detail } = place.value;
  return (
    <>
      <Cli command="potluck route explain --last" />
      {problem && <Problem text={problem} />}
      {rows?.length === 0 && (
        <Empty text="No request is on record yet. Ask something:" command='potluck chat --prompt "Say hello."' />
      )}
      {rows && rows.length > 0 && <List rows={rows} />}
      {detail && (
        <RequestDrawer
          key={detail}
          id={detail}
          row={rows?.find((one) => one.request_id === detail) ?? null}
          close={() => {
            window.location.hash = addressOf("requests");
          }}
        />
      )}
    </>
  );
}

function List({ rows }: { rows: DecisionRow[] }) {
  return (
    <Table
      caption={`The last ${SHOWN} requests, newest first`}
      rows={rows}
      keyOf={(row) => row.request_id}
      columns={[
        {
          title: "time",
          cell: (row) => (
            <a href={addressOf("requests", row.request_id)} aria-label={`Request of ${clock(row.at)}: why it went there`}>
              {clock(row.at)}
            </a>
          ),
        },
        { title: "model", cell: (row) => row.model },
        { title: "machine", cell: (row) => row.node ?? "nobody" },
        { title: "reason", cell: (row) => plain(row.reason ?? row.error ?? "none") },
        { title: "outcome", cell: (row) => <Outcome row={row} /> },
        { title: "queued", number: true, cell: (row) => milliseconds(row.queued_ms) },
        { title: "first token", number: true, cell: (row) => milliseconds(row.first_token_ms) },
        { title: "in all", number: true, cell: (row) => milliseconds(row.duration_ms) },
        { title: "tokens in", number: true, cell: (row) => count(row.input_tokens) },
        { title: "tokens out", number: true, cell: (row) => count(row.output_tokens) },
      ]}
    />
  );
}

export function Outcome({ row }: { row: DecisionRow }) {
  if (row.outcome == null) return <span class="quietly">not known</span>;
  const failed = row.status != null && row.status >= 400;
  const words = plain(failed ? `${row.outcome} ${row.status}` : row.outcome);
  return <Badge state={words} tone={failed ? "bad" : row.outcome === "ok" ? "good" : "warn"} />;
}
