/** Taking a machine out of service and back, for whoever may operate: each asks first, and says what will happen. */

import { useEffect, useState } from "preact/hooks";
import { Ask } from "../parts/ask";
import { cluster } from "../store/cluster";
import { may, refused } from "../store/session";
import { api, type NodeVerb } from "../wire/api";
import type { FitRow } from "../wire/documents";
import type { Node } from "../wire/state";

const TITLES: Record<NodeVerb, string> = { cordon: "Cordon", uncordon: "Take work again", drain: "Drain" };
const VERBS: Record<string, NodeVerb[]> & { drain: NodeVerb[] } = {
  serve: ["cordon", "drain"],
  cordon: ["uncordon", "drain"],
  drain: ["uncordon"],
};
const DONE: Record<NodeVerb, string> = {
  cordon: "cordoned: nothing more starts there",
  uncordon: "takes work again",
  drain: "drains: its engines finish and leave",
};

export function NodeActs({ id, node }: { id: string; node: Node }) {
  const [verb, setVerb] = useState<NodeVerb | null>(null);
  if (!may("operate") || node.os === undefined) return null; // one that never reported is nobody's to order about
  const verbs = VERBS[node.duty] ?? VERBS.drain;
  return (
    <div class="acts" role="group" aria-label={`Actions on ${id}`}>
      {verbs.map((one) => (
        <button key={one} type="button" class="act" onClick={() => setVerb(one)}>
          {TITLES[one]} …
        </button>
      ))}
      {verb && (
        <Ask
          title={`${TITLES[verb]}: ${id}`}
          confirm={TITLES[verb]}
          command={`potluck nodes ${verb} ${id}`}
          done={`${id}: ${DONE[verb]}`}
          act={() => api.actOnNode(id, verb)}
          close={() => setVerb(null)}
        >
          {verb === "uncordon" && <p>Models may be started on {id} again.</p>}
          {verb === "cordon" && <p>Nothing more is started on {id}. {goingOn(id)}</p>}
          {verb === "drain" && <Leaving id={id} />}
        </Ask>
      )}
    </div>
  );
}

function enginesOn(id: string): string[] {
  const engines = Object.values(cluster.value?.engines ?? {}).filter((one) => one.node === id && one.state !== "stopped");
  return [...new Set(engines.map((one) => one.model))].sort();
}

function goingOn(id: string): string {
  const models = enginesOn(id);
  return models.length === 0 ? "Nothing runs there now." : `What runs goes on: ${models.join(", ")}.`;
}

/** Each model on the machine, and who serves it once the machine is empty. */
function Leaving({ id }: { id: string }) {
  const [models] = useState(() => enginesOn(id));
  return (
    <>
      <p>Its engines finish the requests that they have, then they stop. Nothing more is started on {id}.</p>
      {models.length === 0 ? (
        <p>Nothing runs there now.</p>
      ) : (
        <ul class="bullets">
          {models.map((model) => (
            <li key={model}>
              <b>{model}</b>: <Elsewhere model={model} without={id} />
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** The head's own answer: does it fit on another machine? */
function Elsewhere({ model, without }: { model: string; without: string }) {
  const [words, setWords] = useState("asking what else could serve it …");
  useEffect(() => {
    void elsewhere(model, without).then(setWords);
  }, [model, without]);
  return <>{words}</>;
}

/** Another machine that has joined and takes work. */
function isThere(row: FitRow, without: string): boolean {
  const node = cluster.value?.nodes[row.node];
  return row.node !== without && node?.state === "ready" && node.duty === "serve";
}

async function elsewhere(model: string, without: string): Promise<string> {
  const state = cluster.value;
  const others = Object.values(state?.engines ?? {}).filter(
    (one) => one.model === model && one.node !== without && one.state === "ready",
  );
  if (others.length > 0) return `it is also served on ${others.map((one) => one.node).join(", ")}`;
  try {
    const context = state?.models[model]?.context_tokens ?? 8192;
    const { rows } = await api.fit({ model, context, users: 1, kv_bits: 16 });
    const places = rows.filter((row) => isThere(row, without) && (row.answer === "fits" || row.answer === "after evicting"));
    if (places.length === 0) return "no other machine has room for it. It is not served until this one takes work again";
    const said = places.map((row) => `on ${row.node} it ${row.answer === "fits" ? "fits" : `would fit ${row.answer}`}`);
    return [...new Set(said)].join(", ");
  } catch (error) {
    return refused(error);
  }
}
