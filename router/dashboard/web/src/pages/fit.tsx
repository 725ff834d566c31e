/** Models by machines: what fits, what would after a change, and the arithmetic behind each answer. */

import { useEffect, useState } from "preact/hooks";
import { FitDetail } from "./fit_detail";
import { Matrix } from "./fit_matrix";
import { Cli } from "../parts/copy";
import { Empty } from "../parts/empty";
import { tokens } from "../parts/words";
import { cluster } from "../store/cluster";
import { askFits, besides, workload, type Workload } from "../store/fits";
import type { FitRow } from "../wire/documents";

const CONTEXTS = [2048, 4096, 8192, 16384, 32768, 65536, 131072];

export interface Chosen {
  model: string;
  rows: FitRow[];
}

export function FitPage() {
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const state = cluster.value;
  const own = Object.keys(state?.models ?? {}).sort();
  const models = [...own, ...besides.value.filter((name) => !own.includes(name))];
  const { context, users, kv_bits } = workload.value;
  const asked = [models.join(" "), context, users, kv_bits, state?.config_revision].join("|");
  useEffect(() => void askFits(models), [asked]);
  const workloadWords = `--ctx ${tokens(context)} --users ${users}${kv_bits === 8 ? " --kv-bits 8" : ""}`;
  return (
    <>
      <Cli command={models[0] ? `potluck fit ${models[0]} ${workloadWords}` : `potluck capacity --users ${users}`} />
      <p class="note">
        What each model needs on each machine for this many requests at once, and whether that is there. The head
        answers; open an answer for its arithmetic.
      </p>
      <Questions />
      {models.length === 0 ? (
        <Empty
          text="The cluster has no model yet. Name one above that is known, or see what this fleet could serve:"
          command="potluck capacity --users 1"
        />
      ) : (
        <Matrix models={models} nodes={Object.keys(state?.nodes ?? {}).sort()} open={setChosen} />
      )}
      {chosen && <FitDetail chosen={chosen} workload={workloadWords} close={() => setChosen(null)} />}
    </>
  );
}

function Questions() {
  const { context, users, kv_bits } = workload.value;
  const change = (part: Partial<Workload>) => {
    workload.value = { ...workload.value, ...part };
  };
  return (
    <div class="questions">
      <label>
        Tokens of a request
        <select value={context} onChange={(event) => change({ context: Number(event.currentTarget.value) })}>
          {CONTEXTS.map((size) => (
            <option key={size} value={size}>
              {tokens(size)}
            </option>
          ))}
        </select>
      </label>
      <label>
        Requests at once
        <input
          type="number"
          min={1}
          max={4096}
          value={users}
          onChange={(event) => change({ users: Math.min(4096, Math.max(1, Math.round(Number(event.currentTarget.value)))) })}
        />
      </label>
      <label>
        Bits of the KV cache
        <select value={kv_bits} onChange={(event) => change({ kv_bits: Number(event.currentTarget.value) })}>
          <option value={16}>16</option>
          <option value={8}>8</option>
        </select>
      </label>
      <AnotherModel />
    </div>
  );
}

/** One that is known by name though nobody here has it. */
function AnotherModel() {
  const [name, setName] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = name.trim();
        if (wanted && !besides.value.includes(wanted)) besides.value = [...besides.value, wanted];
        setName("");
      }}
    >
      <label>
        Another model
        <input placeholder="qwen3-14b" value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <button type="submit">Add</button>
    </form>
  );
}
