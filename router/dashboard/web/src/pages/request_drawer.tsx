/** One request: when what happened to it, and every candidate with its terms. The same as `potluck route explain`. */

import { useEffect, useState } from "preact/hooks";
import { Candidates } from "./candidates";
import { Outcome } from "./requests";
import { Bar, Legend, type Part } from "../parts/bar";
import { Cli } from "../parts/copy";
import { Drawer } from "../parts/drawer";
import { Problem } from "../parts/empty";
import { clock, count, milliseconds, plain, seconds } from "../parts/words";
import { refused } from "../store/session";
import { api } from "../wire/api";
import type { Decided, DecisionRow, Explanation } from "../wire/documents";

export function RequestDrawer({ id, row, close }: { id: string; row: DecisionRow | null; close: () => void }) {
  const [found, setFound] = useState<Decided | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    api.decision(id).then(setFound, (error: unknown) => setProblem(refused(error)));
  }, [id]);
  const known = found?.row ?? row;
  return (
    <Drawer title="Request" close={close}>
      <Cli command={`potluck route explain ${id}`} />
      {problem && <Problem text={problem} />}
      {known && <Timeline row={known} />}
      {found && !found.explanation && <p>No decision is on record for it.</p>}
      {found?.explanation && <Facts found={found.explanation} />}
      {found?.explanation && <Candidates found={found.explanation} />}
    </Drawer>
  );
}

function Timeline({ row }: { row: DecisionRow }) {
  const queued = row.queued_ms ?? 0;
  const first = row.first_token_ms;
  const whole = row.duration_ms;
  if (whole == null) return <p class="quietly">How long it took is not known.</p>;
  const until = first == null ? queued : Math.max(queued, first);
  const parts: Part[] = [
    part("waited in the queue", queued, "other"),
    ...(first == null ? [] : [part("until the first token", until - queued, "kv")]),
    part(first == null ? "until the answer was whole" : "writing the rest", Math.max(0, whole - until), "weights"),
  ];
  return (
    <section>
      <h3>
        {clock(row.at)} · {milliseconds(whole)} in all <Outcome row={row} />
      </h3>
      <Bar label="When what happened" parts={parts} whole={whole} />
      <Legend parts={parts} />
      <p class="quietly">
        {count(row.input_tokens)} tokens in, {count(row.output_tokens)} out
      </p>
    </section>
  );
}

function part(name: string, value: number, look: string): Part {
  return { name, value, look, words: milliseconds(value) };
}

function Facts({ found }: { found: Explanation }) {
  const facts: [string, string][] = [
    ["model", found.model],
    ["went to", found.chosen ?? "nobody"],
    ["because", plain(found.reason)],
    ["policy", found.policy],
    ["first token, predicted", seconds(found.predicted_s)],
    ["first token, observed", seconds(found.observed_s)],
    ["prompt, as estimated", `${count(found.prompt_tokens)} tokens`],
    ["tries", count(found.tries)],
    ...(found.side_call ? [["asked by a front end", found.side_call] as [string, string]] : []),
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
