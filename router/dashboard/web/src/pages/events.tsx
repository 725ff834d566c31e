/** What happened in the cluster: who joined and was lost, what was loaded, ejected and made room, and why. */

import { useState } from "preact/hooks";
import { Choice, named } from "../parts/choice";
import { Cli } from "../parts/copy";
import { Empty } from "../parts/empty";
import { Table } from "../parts/table";
import { moment, plain } from "../parts/words";
import { cluster } from "../store/cluster";
import type { Happening } from "../wire/state";

const ALL = { value: "", words: "all" };
const KINDS = [
  ALL,
  { value: "node", words: "machines" },
  { value: "engine", words: "engines" },
  { value: "model", words: "models" },
  { value: "config", words: "configuration" },
];

export function EventsPage() {
  const [kind, setKind] = useState("");
  const [node, setNode] = useState("");
  const [model, setModel] = useState("");
  const state = cluster.value;
  if (!state) return null;
  const names = (of: "node" | "model", now: Record<string, unknown>) =>
    [...new Set([...Object.keys(now), ...state.events.flatMap((event) => event[of] ?? [])])].sort();
  const wanted = state.events.filter(
    (event) => event.kind.startsWith(kind) && (!node || event.node === node) && (!model || event.model === model),
  );
  return (
    <>
      <Cli command="potluck status --watch" />
      <p class="note">
        The last 50 since this gateway started, as it saw them. What people did is in the audit: <code>potluck audit tail</code>.
      </p>
      <div class="questions">
        <Choice title="About" value={kind} options={KINDS} choose={setKind} />
        <Choice title="Machine" value={node} options={[ALL, ...named(names("node", state.nodes))]} choose={setNode} />
        <Choice title="Model" value={model} options={[ALL, ...named(names("model", state.models))]} choose={setModel} />
      </div>
      {wanted.length === 0 ? (
        <Empty
          text={state.events.length === 0 ? "Nothing has changed since this gateway started. Older things:" : "None of the last events is like that. Older things:"}
          command="potluck audit tail -f"
        />
      ) : (
        <Table<Happening & { key: string }>
          caption="Events, newest first"
          rows={wanted.map((event, at) => ({ ...event, key: `${event.at} ${at}` })).reverse()}
          keyOf={(event) => event.key}
          columns={[
            { title: "time", cell: (event) => moment(event.at) },
            { title: "what, and why", wide: true, cell: (event) => event.text },
            { title: "about", cell: (event) => plain(event.kind) },
            { title: "machine", cell: (event) => event.node ?? "" },
            { title: "model", cell: (event) => event.model ?? "" },
          ]}
        />
      )}
    </>
  );
}
