/** One machine: how it is, what its memory holds, and the engines that run there. */

import { NodeActs } from "./node_acts";
import { Badge } from "../parts/badge";
import { Bar } from "../parts/bar";
import { CopyButton } from "../parts/copy";
import { PoolBar } from "../parts/memory";
import { bytes, count, share, span } from "../parts/words";
import { entries, held, type Engine, type Node } from "../wire/state";

export function NodeCard({ id, node, engines }: { id: string; node: Node; engines: [string, Engine][] }) {
  const pools = entries(node.pools);
  return (
    <article class="card" aria-labelledby={`node-${id}`}>
      <header>
        <h3 id={`node-${id}`}>{id}</h3>
        <Badge state={node.state} />
        <CopyButton text={`potluck nodes inspect ${id}`} label="Copy as CLI" name={`Copy as CLI: ${id}`} />
      </header>
      <p class="quietly">
        {[node.os, ...node.accelerators, `link ${node.link}`].filter(Boolean).join(" · ")}
        {node.since > 0 && ` · ${node.state} for ${span(Date.now() / 1000 - node.since)}`}
      </p>
      <NodeActs id={id} node={node} />
      {node.reason && <p class="why">{node.reason}</p>}
      {node.link_reason && <p class="why">{node.link_reason}</p>}
      <Labels labels={node.labels} />
      {pools.length === 0 && <p class="quietly">Its memory is not known: it has not reported.</p>}
      {pools.map(([name, pool]) => (
        <PoolBar key={name} node={id} name={name} pool={pool} />
      ))}
      {engines.length === 0 ? (
        <p class="quietly">
          {node.engine_kinds.length === 0 ? (
            <>
              No engine is installed: <code>potluck engines install llamacpp</code>
            </>
          ) : (
            `Nothing runs here. Installed: ${node.engine_kinds.join(", ")}.`
          )}
        </p>
      ) : (
        <ul class="engines">
          {engines.map(([engineId, engine]) => (
            <EngineLine key={engineId} id={engineId} engine={engine} />
          ))}
        </ul>
      )}
    </article>
  );
}

function Labels({ labels }: { labels: Record<string, string> }) {
  const all = entries(labels);
  if (all.length === 0) return null;
  return (
    <ul class="chips" aria-label="Labels">
      {all.map(([key, value]) => (
        <li key={key}>
          {key}={value}
        </li>
      ))}
    </ul>
  );
}

function EngineLine({ id, engine }: { id: string; engine: Engine }) {
  const used = engine.kv_used;
  return (
    <li>
      <div class="engine-head">
        <span class="chip">{engine.model}</span>
        <Badge state={engine.state} />
        <span class="quietly">
          {engine.kind} {engine.version ?? ""}
        </span>
      </div>
      {engine.reason && <p class="why">{engine.reason}</p>}
      <dl class="small-facts">
        <div>
          <dt>running</dt>
          <dd>
            {count(engine.running)} of {count(engine.slots)}
          </dd>
        </div>
        <div>
          <dt>waiting</dt>
          <dd>{count(engine.waiting)}</dd>
        </div>
        <div>
          <dt>memory</dt>
          <dd>
            {bytes(held(engine))} <span class="quietly">of {bytes(engine.need_bytes)} reckoned</span>
          </dd>
        </div>
        {engine.restarts ? (
          <div>
            <dt>restarts</dt>
            <dd>{count(engine.restarts)}</dd>
          </div>
        ) : null}
        <div>
          <dt>KV used</dt>
          <dd>{share(used)}</dd>
        </div>
      </dl>
      {used != null && (
        <Bar
          label={`KV cache of ${id}`}
          whole={1}
          parts={[{ name: "used", value: used, look: "kv", words: share(used) }]}
        />
      )}
    </li>
  );
}
