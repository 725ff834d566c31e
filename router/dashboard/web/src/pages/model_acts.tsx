/** Loading and unloading a model, for whoever may operate: each asks first, and says what will happen. */

import { useEffect, useState } from "preact/hooks";
import { Ask } from "../parts/ask";
import { Badge } from "../parts/badge";
import { Problem } from "../parts/empty";
import { bytes, plural, span } from "../parts/words";
import { cluster } from "../store/cluster";
import { may, refused } from "../store/session";
import { api, type ModelVerb } from "../wire/api";
import type { FitRow } from "../wire/documents";
import { held, type Model } from "../wire/state";

const TITLES: Record<ModelVerb, string> = { load: "Load", unload: "Unload" };

export function ModelActs({ name, model, acted }: { name: string; model: Model; acted: () => void }) {
  const [verb, setVerb] = useState<ModelVerb | null>(null);
  if (!may("operate")) return null;
  const verbs: ModelVerb[] = model.away ? ["load"] : model.state === "asleep" ? ["load", "unload"] : ["unload"];
  return (
    <div class="acts" role="group" aria-label={`Actions on ${name}`}>
      {verbs.map((one) => (
        <button key={one} type="button" class="act" onClick={() => setVerb(one)}>
          {TITLES[one]} …
        </button>
      ))}
      {verb && (
        <Ask
          title={`${TITLES[verb]} ${name}`}
          confirm={TITLES[verb]}
          command={`potluck models ${verb} ${name}`}
          done={verb === "load" ? `${name}: loads` : `${name}: leaves once its requests have finished`}
          act={() => api.actOnModel(name, verb).then(acted)}
          close={() => setVerb(null)}
        >
          {verb === "load" ? <Loading name={name} model={model} /> : <Unloading name={name} model={model} />}
        </Ask>
      )}
    </div>
  );
}

/** What the head says of each machine, for one request as long as the model is configured for. */
function Loading({ name, model }: { name: string; model: Model }) {
  const [rows, setRows] = useState<FitRow[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const question = { model: name, context: model.context_tokens ?? 8192, users: 1, kv_bits: 16 };
    api.fit(question).then(
      (found) => setRows(found.rows),
      (error: unknown) => setProblem(refused(error)),
    );
  }, [name]);
  return (
    <>
      <p>
        {model.away
          ? "It is served again as cluster.yaml says."
          : "It is woken as by a request that waits for it, and sleeps again once nobody asks."}{" "}
        Where it does not fit beside what runs, models that sleep make room for it when it is its turn.
      </p>
      {problem && <Problem text={problem} />}
      {!rows && !problem && <p class="quietly">Asking the head what fits …</p>}
      {rows && (
        <ul class="bullets">
          {rows.map((row) => (
            <li key={`${row.node} ${row.engine}`}>
              <b>{row.node}</b> {row.engine} <Badge state={row.answer} /> {row.why}
              {cluster.value?.nodes[row.node]?.state !== "ready" && "; but this machine is not ready"}
              {row.evicted.length > 0 && `. To go: ${row.evicted.join(", ")}`}
            </li>
          ))}
          {rows.length === 0 && <li>No machine has an engine for it.</li>}
        </ul>
      )}
    </>
  );
}

function Unloading({ name, model }: { name: string; model: Model }) {
  const engines = Object.values(cluster.value?.engines ?? {}).filter((one) => one.model === name && one.state !== "stopped");
  const freed = engines.reduce((sum, one) => sum + (held(one) ?? 0), 0);
  const running = engines.reduce((sum, one) => sum + (one.running ?? 0), 0);
  return (
    <>
      <p>
        {engines.length === 0
          ? "Nothing of it runs now."
          : `It takes no more requests${running ? `, finishes the ${plural(running, "request")} that it has` : ""}, then leaves ${engines.map((one) => one.node).join(", ")} and frees ${bytes(freed)}.`}
      </p>
      <p>
        Until it is loaded again nobody is served by it, also after a restart
        {model.keep_alive_s == null ? "." : `: by itself it would only sleep, after ${span(model.keep_alive_s)} idle.`}
      </p>
    </>
  );
}
