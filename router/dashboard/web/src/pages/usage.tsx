/** What was asked, and what it took: by key, group, model or machine, and over time. */

import { useMemo, useState } from "preact/hooks";
import { Chart } from "../parts/chart";
import { Choice } from "../parts/choice";
import { Cli } from "../parts/copy";
import { Empty, Problem } from "../parts/empty";
import { usePolled } from "../parts/polled";
import { Table, type Column } from "../parts/table";
import { count, moment, span, UNKNOWN } from "../parts/words";
import { api } from "../wire/api";
import type { Sums, UsageBook, UsageLine } from "../wire/books";

const EVERY_MS = 15_000;
const BY = [
  { value: "key", words: "key" },
  { value: "group", words: "group" },
  { value: "model", words: "model" },
  { value: "node", words: "machine" },
];
const SPANS = [
  { value: "24", words: "24 hours" },
  { value: "168", words: "7 days" },
  { value: "720", words: "30 days" },
  { value: "8760", words: "a year" },
];
const HOURLY_UP_TO = 168;

export function Usage({ names }: { names: Record<string, string> }) {
  const [by, setBy] = useState("key");
  const [hours, setHours] = useState(24);
  const [asTable, setAsTable] = useState(false);
  const step = hours <= HOURLY_UP_TO ? "hour" : "day";
  const sums = usePolled(() => api.usage(by, hours), `${by} ${hours}`, EVERY_MS);
  const course = usePolled(() => api.usage(step, hours), `${step} ${hours}`, EVERY_MS);
  const problem = sums.problem ?? course.problem;
  const none = sums.answer?.rows.length === 0;
  return (
    <section>
      <header class="section-head">
        <h2>Usage</h2>
        <button type="button" class="quiet" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
          Over time as a table
        </button>
      </header>
      <Cli command={`potluck usage --by ${by} --since ${hours >= 48 ? `${hours / 24}d` : `${hours}h`}`} />
      <div class="questions">
        <Choice title="By" value={by} options={BY} choose={setBy} />
        <Choice title="Of the last" value={String(hours)} options={SPANS} choose={(value) => setHours(Number(value))} />
      </div>
      {problem && <Problem text={problem} />}
      {none && <Empty text="Nothing was asked in that time. Ask something:" command='potluck chat --prompt "Say hello."' />}
      {course.answer && !none && (asTable ? <Course book={course.answer} /> : <Curve book={course.answer} step={step} />)}
      {sums.answer && !none && <Summed book={sums.answer} by={by} names={names} />}
    </section>
  );
}

/** From the first hour to the last, those without any request included. */
function Curve({ book, step }: { book: UsageBook; step: "hour" | "day" }) {
  const { times, tokens, requests } = useMemo(() => drawn(book, step), [book, step]);
  return (
    <div class="charts">
      <Chart title={`Tokens ${step === "hour" ? "an hour" : "a day"}`} times={times} lines={tokens} dates={step} whole />
      <Chart title={`Requests ${step === "hour" ? "an hour" : "a day"}`} times={times} lines={requests} dates={step} whole />
    </div>
  );
}

function drawn(book: UsageBook, step: "hour" | "day") {
  const width = step === "hour" ? 3600 : 86400;
  const found = new Map(book.rows.map((row) => [Date.parse(row.of[step] ?? "") / 1000, row.sums]));
  const times: number[] = [];
  for (let at = Math.floor(book.since / width) * width; at < book.until; at += width) times.push(at);
  const of = (name: keyof Sums) => times.map((at) => found.get(at)?.[name] ?? 0);
  return {
    times,
    tokens: [
      { name: "out", values: of("output_tokens") },
      { name: "in", values: of("input_tokens"), dashed: true },
    ],
    requests: [
      { name: "all", values: of("requests") },
      { name: "refused", values: of("refused"), dashed: true },
    ],
  };
}

function Course({ book }: { book: UsageBook }) {
  return (
    <Table
      caption="Usage over time"
      rows={[...book.rows].reverse()}
      keyOf={(row) => Object.values(row.of).join(" ")}
      columns={[{ title: "from", cell: (row) => moment(Date.parse(row.of.hour ?? row.of.day ?? "") / 1000) }, ...SUMS]}
    />
  );
}

function Summed({ book, by, names }: { book: UsageBook; by: string; names: Record<string, string> }) {
  const nameOf = (row: UsageLine) => {
    const value = row.of[by] ?? "";
    return by === "key" ? (names[value] ?? value) : value;
  };
  const total: UsageLine = { of: { total: "total" }, sums: book.total };
  return (
    <Table
      caption={`Usage by ${by}`}
      rows={[...book.rows, total]}
      keyOf={(row) => JSON.stringify(row.of)}
      columns={[
        { title: by === "node" ? "machine" : by, cell: (row) => (row === total ? "all together" : nameOf(row) || UNKNOWN) },
        ...SUMS,
      ]}
    />
  );
}

const SUMS: Column<UsageLine>[] = [
  { title: "requests", number: true, cell: ({ sums }) => count(sums.requests) },
  { title: "refused", number: true, cell: ({ sums }) => count(sums.refused) },
  { title: "failed", number: true, cell: ({ sums }) => count(sums.failed) },
  { title: "cancelled", number: true, cell: ({ sums }) => count(sums.cancelled) },
  { title: "tokens in", number: true, cell: ({ sums }) => count(sums.input_tokens) },
  { title: "of them cached", number: true, cell: ({ sums }) => count(sums.cached_tokens) },
  { title: "tokens out", number: true, cell: ({ sums }) => count(sums.output_tokens) },
  { title: "given again", number: true, cell: ({ sums }) => count(sums.cache_hits) },
  { title: "time", number: true, cell: ({ sums }) => span(sums.seconds) },
];
