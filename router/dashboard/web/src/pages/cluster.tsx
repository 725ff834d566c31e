/** The machines, what they hold, which models are served, and what happened. */

import { useState } from "preact/hooks";
import { NodeCard } from "./node_card";
import { Badge } from "../parts/badge";
import { Cli } from "../parts/copy";
import { Empty } from "../parts/empty";
import { MEMORY_PARTS } from "../parts/memory";
import { Table } from "../parts/table";
import { bytes, clock, count, plain, rate, span, tokens } from "../parts/words";
import { cluster } from "../store/cluster";
import { addressOf } from "../store/place";
import { entries, type State } from "../wire/state";

const SHOWN = 12;

export function ClusterPage() {
  const [asTable, setAsTable] = useState(false);
  const state = cluster.value;
  if (!state) return null;
  const nodes = entries(state.nodes);
  return (
    <>
      <Cli command="potluck status --watch" />
      <Summary state={state} />
      <section>
        <header class="section-head">
          <h2>Machines</h2>
          <button type="button" class="quiet" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
            Memory as a table
          </button>
        </header>
        {nodes.length === 0 && (
          <Empty text="No machine has joined." command="potluck token create --node NAME" />
        )}
        {asTable && <MemoryTable state={state} />}
        <div class="cards">
          {nodes.map(([id, node]) => (
            <NodeCard key={id} id={id} node={node} engines={entries(state.engines).filter(([, one]) => one.node === id)} />
          ))}
        </div>
      </section>
      <Models state={state} />
      <Happenings state={state} />
    </>
  );
}

function Summary({ state }: { state: State }) {
  const nodes = Object.values(state.nodes);
  const models = Object.values(state.models);
  const ready = (all: { state: string }[]) => `${all.filter((one) => one.state === "ready").length} of ${all.length}`;
  const facts: [string, string][] = [
    ["machines ready", ready(nodes)],
    ["models ready", ready(models)],
    ["requests in flight", count(state.live.in_flight)],
    ["waiting", count(state.live.waiting)],
    ["tokens out a second", rate(state.live.output_tokens_per_s)],
    ["configuration", `revision ${state.config_revision}`],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function MemoryTable({ state }: { state: State }) {
  const rows = entries(state.nodes).flatMap(([id, node]) =>
    entries(node.pools).map(([name, pool]) => ({ id, name, pool })),
  );
  return (
    <Table
      caption="Memory of the machines"
      rows={rows}
      keyOf={(row) => `${row.id} ${row.name}`}
      columns={[
        { title: "machine", cell: (row) => row.id },
        { title: "pool", cell: (row) => row.name },
        { title: "total", number: true, cell: (row) => bytes(row.pool.total_bytes) },
        { title: "budget", number: true, cell: (row) => bytes(row.pool.budget_bytes) },
        ...MEMORY_PARTS.map(([part, title]) => ({
          title,
          number: true,
          cell: (row: (typeof rows)[number]) => bytes(row.pool.parts[part]),
        })),
      ]}
    />
  );
}

function Models({ state }: { state: State }) {
  const rows = entries(state.models);
  return (
    <section>
      <h2>Models</h2>
      {rows.length === 0 ? (
        <Empty text="No model is configured. Name one in cluster.yaml, then:" command="potluck config apply cluster.yaml" />
      ) : (
        <Table
          caption="Models"
          rows={rows}
          keyOf={([name]) => name}
          columns={[
            { title: "model", cell: ([name]) => name },
            { title: "state", cell: ([, model]) => <Badge state={model.state} /> },
            { title: "context", number: true, cell: ([, model]) => tokens(model.context_tokens) },
            { title: "can", cell: ([, model]) => model.capabilities.join(", ") },
            { title: "ready in", number: true, cell: ([, model]) => (model.eta_s == null ? "" : span(model.eta_s)) },
            { title: "why", wide: true, cell: ([, model]) => [model.reason, model.note].filter(Boolean).join("; ") },
          ]}
        />
      )}
    </section>
  );
}

function Happenings({ state }: { state: State }) {
  const newest = [...state.events].sort((one, other) => other.at - one.at).slice(0, SHOWN);
  return (
    <section>
      <header class="section-head">
        <h2>What happened</h2>
        <a href={addressOf("events")}>All events</a>
      </header>
      {newest.length === 0 ? (
        <Empty text="Nothing has changed since this gateway started." command="potluck audit tail -f" />
      ) : (
        <ol class="events" tabIndex={0} aria-label="What happened, the newest first">
          {newest.map((event, at) => (
            <li key={`${event.at} ${at}`}>
              <time dateTime={new Date(event.at * 1000).toISOString()}>{clock(event.at)}</time>
              <span class="kind">{plain(event.kind)}</span>
              <span>{event.text}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
