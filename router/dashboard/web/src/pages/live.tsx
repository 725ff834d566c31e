/** What goes through at this moment, by model and by machine, and the last ten minutes of it. */

import { useMemo, useState } from "preact/hooks";
import { Chart } from "../parts/chart";
import { Cli } from "../parts/copy";
import { Empty } from "../parts/empty";
import { Table, type Column } from "../parts/table";
import { clock, count, rate, seconds, share } from "../parts/words";
import { cluster } from "../store/cluster";
import { history, type Sample } from "../store/history";
import { entries, type Figures } from "../wire/state";

const TABLE_STEP_S = 10;

/** For a model; what waits has no machine yet. */
const WAITING: Column<[string, Figures]> = { title: "waiting", number: true, cell: ([, one]) => count(one.waiting) };

export function LivePage() {
  const [asTable, setAsTable] = useState(false);
  const samples = history.value;
  const live = cluster.value?.live;
  if (!live) return null;
  return (
    <>
      <Cli command="potluck top" />
      <p class="note">Rates are over the last 60 seconds; the lines are kept in this page, for ten minutes.</p>
      <section>
        <header class="section-head">
          <h2>The last ten minutes</h2>
          <button type="button" class="quiet" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
            As a table
          </button>
        </header>
        {asTable ? <SampleTable samples={samples} /> : <Charts samples={samples} />}
      </section>
      <FiguresTable title="By model" what="model" of={live.by_model} />
      <FiguresTable title="By machine" what="machine" of={live.by_node} />
    </>
  );
}

function Charts({ samples }: { samples: readonly Sample[] }) {
  const times = useMemo(() => samples.map((sample) => sample.at), [samples]);
  const lines = useMemo(() => {
    const of = (name: keyof Sample) => samples.map((sample) => sample[name]);
    return {
      tokens: [
        { name: "out", values: of("output") },
        { name: "in", values: of("input"), dashed: true },
      ],
      queue: [
        { name: "in flight", values: of("running") },
        { name: "waiting", values: of("waiting"), dashed: true },
      ],
      requests: [{ name: "requests", values: of("requests") }],
    };
  }, [samples]);
  return (
    <div class="charts">
      <Chart title="Tokens a second" times={times} lines={lines.tokens} />
      <Chart title="Requests at this moment" times={times} lines={lines.queue} whole />
      <Chart title="Requests a second" times={times} lines={lines.requests} />
    </div>
  );
}

function SampleTable({ samples }: { samples: readonly Sample[] }) {
  const rows = samples.filter((sample, at) => sample.at % TABLE_STEP_S === 0 || at === samples.length - 1).reverse();
  return (
    <Table
      caption="Live figures of the last ten minutes, newest first"
      rows={rows}
      keyOf={(sample) => sample.at}
      columns={[
        { title: "time", cell: (sample) => clock(sample.at) },
        { title: "tokens/s out", number: true, cell: (sample) => rate(sample.output) },
        { title: "tokens/s in", number: true, cell: (sample) => rate(sample.input) },
        { title: "in flight", number: true, cell: (sample) => count(sample.running) },
        { title: "waiting", number: true, cell: (sample) => count(sample.waiting) },
        { title: "requests/s", number: true, cell: (sample) => rate(sample.requests) },
      ]}
    />
  );
}

function FiguresTable({ title, what, of }: { title: string; what: string; of: Record<string, Figures> }) {
  const rows = entries(of);
  return (
    <section>
      <h2>{title}</h2>
      {rows.length === 0 ? (
        <Empty text="No request in the last 60 seconds. Ask something:" command='potluck chat --prompt "Say hello."' />
      ) : (
        <Table
          caption={title}
          rows={rows}
          keyOf={([name]) => name}
          columns={[
            { title: what, cell: ([name]) => name },
            { title: "in flight", number: true, cell: ([, one]) => count(one.in_flight) },
            ...(what === "model" ? [WAITING] : []),
            { title: "requests/s", number: true, cell: ([, one]) => rate(one.requests_per_s) },
            { title: "tokens/s in", number: true, cell: ([, one]) => rate(one.input_tokens_per_s) },
            { title: "tokens/s out", number: true, cell: ([, one]) => rate(one.output_tokens_per_s) },
            ...percentiles("first token", "ttft"),
            ...percentiles("each token", "tpot"),
            { title: "prompt cached", number: true, cell: ([, one]) => share(one.cached_ratio) },
          ]}
        />
      )}
    </section>
  );
}

function percentiles(title: string, kind: "ttft" | "tpot") {
  return (["p50", "p95", "p99"] as const).map((point) => ({
    title: `${title} ${point}`,
    number: true,
    cell: ([, one]: [string, Figures]) => seconds(one[`${kind}_${point}_s`]),
  }));
}
