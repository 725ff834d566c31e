/** One model under any workload: does it fit where, by which arithmetic, and how far would each machine go? */

import { useEffect, useState } from "preact/hooks";
import { Reckoning } from "./reckoning";
import { Badge } from "../parts/badge";
import { Choice, named } from "../parts/choice";
import { Cli } from "../parts/copy";
import { Empty, Problem } from "../parts/empty";
import { FrontierChart, FrontierTable } from "../parts/frontier";
import { Table } from "../parts/table";
import { count, tokens } from "../parts/words";
import { cluster } from "../store/cluster";
import { answers, askWhatIf, question, trouble, type Question } from "../store/whatif";
import type { Frontier } from "../wire/books";
import type { FitRow } from "../wire/documents";

const CONTEXTS = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072];
const QUANTS = ["q4_k_m", "q8_0", "awq", "4bit", "8bit", "bf16"];
const MOST_ON_SLIDER = 256;

export function WhatIfPage() {
  const state = cluster.value;
  const own = Object.keys(state?.models ?? {}).sort();
  const nodes = Object.keys(state?.nodes ?? {}).sort();
  const writes = own.find((name) => state?.models[name]?.capabilities.includes("chat"));
  const asked = { ...question.value, model: question.value.model || writes || own[0] || "" };
  useEffect(() => void askWhatIf(asked), [JSON.stringify(asked), state?.config_revision]);
  return (
    <>
      <Cli command={commandOf(asked)} />
      <p class="note">
        The head answers, by the same function that places models. The curve is how many requests at once a machine
        could serve for each length: with nothing else on it, and beside what runs there now.
      </p>
      <div class="whatif">
        <Inputs asked={asked} own={own} nodes={nodes} />
        <div class="stack">
          {trouble.value && <Problem text={trouble.value} />}
          {!asked.model && (
            <Empty text="The cluster has no model yet. Name one that is known, or see what this fleet could serve:" command="potluck capacity --users 1" />
          )}
          {answers.value && <Answered asked={asked} />}
        </div>
      </div>
    </>
  );
}

function commandOf({ model, quant, node, context, users, kv_bits }: Question): string {
  const parts = ["potluck fit", model || "MODEL", `--ctx ${tokens(context)} --users ${users}`];
  if (quant) parts.push(`--quant ${quant}`);
  if (kv_bits === 8) parts.push("--kv-bits 8");
  if (node) parts.push(`--node ${node}`);
  return [...parts, "--frontier"].join(" ");
}

function Inputs({ asked, own, nodes }: { asked: Question; own: string[]; nodes: string[] }) {
  const change = (part: Partial<Question>) => {
    question.value = { ...asked, ...part };
  };
  const step = Math.max(0, CONTEXTS.indexOf(asked.context));
  return (
    <form class="card inputs" aria-label="Workload" onSubmit={(event) => event.preventDefault()}>
      <ModelInput model={asked.model} own={own} change={(model) => change({ model })} />
      <Choice
        title="Quantisation"
        value={asked.quant}
        options={[{ value: "", words: "what is here, or usual" }, ...named(QUANTS)]}
        choose={(quant) => change({ quant })}
      />
      <label>
        <span>
          Tokens of a request: <b>{tokens(asked.context)}</b>
        </span>
        <input
          type="range"
          min={0}
          max={CONTEXTS.length - 1}
          value={step}
          aria-valuetext={`${tokens(asked.context)} tokens`}
          onInput={(event) => change({ context: CONTEXTS[Number(event.currentTarget.value)] ?? 8192 })}
        />
      </label>
      <label>
        <span>
          Requests at once: <b>{count(asked.users)}</b>
        </span>
        <input
          type="range"
          min={1}
          max={MOST_ON_SLIDER}
          value={asked.users}
          onInput={(event) => change({ users: Number(event.currentTarget.value) })}
        />
      </label>
      <Choice
        title="Bits of the KV cache"
        value={String(asked.kv_bits)}
        options={named(["16", "8"])}
        choose={(bits) => change({ kv_bits: Number(bits) })}
      />
      <Choice
        title="Machine"
        value={asked.node}
        options={[{ value: "", words: "all" }, ...named(nodes)]}
        choose={(node) => change({ node })}
      />
    </form>
  );
}

/** Any name that is known, whether or not somebody here has it; taken when it is whole. */
function ModelInput({ model, own, change }: { model: string; own: string[]; change: (model: string) => void }) {
  const [name, setName] = useState(model);
  useEffect(() => setName(model), [model]);
  return (
    <label>
      Model
      <input
        list="known-models"
        value={name}
        spellcheck={false}
        onInput={(event) => setName(event.currentTarget.value)}
        onChange={(event) => change(event.currentTarget.value.trim())}
      />
      <datalist id="known-models">
        {own.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </label>
  );
}

function Answered({ asked }: { asked: Question }) {
  const found = answers.value;
  if (!found) return null;
  if (found.fit.rows.length === 0) {
    return <Empty text={`No machine has an engine for ${found.fit.model}.`} command="potluck engines install llamacpp" />;
  }
  const rows = found.fit.rows;
  return (
    <>
      {rows.length > 1 && <Verdicts rows={rows} />}
      <div class="places">
        {rows.map((row) => {
          const frontier = found.frontier.rows.find(
            (one) => one.node === row.node && one.engine === row.engine && one.quantisation === row.quantisation,
          );
          return <Place key={wayOf(row)} row={row} frontier={frontier} asked={asked} open={rows.length === 1} />;
        })}
      </div>
    </>
  );
}

function wayOf(row: FitRow): string {
  return `${row.node} ${row.engine} ${row.quantisation}`;
}

function Verdicts({ rows }: { rows: FitRow[] }) {
  return (
    <Table
      caption="Verdict of each machine"
      rows={rows}
      keyOf={wayOf}
      columns={[
        { title: "machine", cell: (row) => row.node },
        { title: "engine", cell: (row) => `${row.engine} ${row.quantisation}` },
        { title: "verdict", cell: (row) => <Badge state={row.answer} /> },
        { title: "most at once", number: true, cell: (row) => count(row.most_users) },
        { title: "why", wide: true, cell: (row) => row.why },
      ]}
    />
  );
}

interface PlaceProps {
  row: FitRow;
  frontier: Frontier | undefined;
  asked: Question;
  open: boolean; // its arithmetic
}

function Place({ row, frontier, asked, open }: PlaceProps) {
  const [asTable, setAsTable] = useState(false);
  return (
    <article class="card place" aria-label={`${row.node}, ${row.engine}`}>
      <header>
        <h2>{row.node}</h2>
        <span class="quietly">{row.machine === "reports itself" ? row.engine : `${row.engine}, ${row.machine}`}</span>
        <button type="button" class="quiet" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
          Curve as a table
        </button>
      </header>
      {frontier && (asTable ? <FrontierTable row={frontier} /> : <FrontierChart row={frontier} asked={asked} />)}
      {frontier && (
        <p>
          {count(asked.users)} at once: {upTo(frontier.context_alone)} with nothing else there,{" "}
          {upTo(frontier.context_beside)} beside what runs.
        </p>
      )}
      <details open={open}>
        <summary>
          Arithmetic <Badge state={row.answer} />
        </summary>
        <Reckoning row={row} />
      </details>
    </article>
  );
}

function upTo(context: number): string {
  return context ? `up to ${count(context)} tokens each` : "not at all";
}
