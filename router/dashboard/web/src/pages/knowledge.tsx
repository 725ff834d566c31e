/** Documents: the spaces that whoever is signed in may see, and one of them when it is opened. */

import { useEffect, useState } from "preact/hooks";
import { Search } from "./knowledge_search";
import { SpacePage } from "./knowledge_space";
import { Kind, Standing } from "./knowledge_standing";
import { Cli } from "../parts/copy";
import { Empty, Problem } from "../parts/empty";
import { seers } from "../parts/grants";
import { usePolled } from "../parts/polled";
import { Table } from "../parts/table";
import { bytes, count, moment } from "../parts/words";
import { learnKeyNames } from "../store/key_names";
import { addressOf, place } from "../store/place";
import { nameOf, type Space } from "../wire/knowledge";
import { knowledge } from "../wire/knowledge_api";

const BUSY_MS = 1500;
const CALM_MS = 10_000;

export function KnowledgePage() {
  const { detail } = place.value;
  useEffect(() => void learnKeyNames(), []);
  return detail ? <SpacePage key={detail} id={detail} /> : <Spaces />;
}

function Spaces() {
  const [busy, setBusy] = useState(false);
  const { answer, problem } = usePolled(knowledge.spaces, String(busy), busy ? BUSY_MS : CALM_MS);
  useEffect(() => setBusy(answer?.some((space) => space.file_counts.in_progress > 0) ?? false), [answer]);
  const readable = answer?.filter((space) => space.potluck.rights.includes("read")) ?? [];
  return (
    <>
      <Cli command="potluck rag spaces" />
      {problem && <Problem text={problem} />}
      {!answer && !problem && <p class="quietly">Asking for the spaces …</p>}
      {answer?.length === 0 && (
        <Empty text="No space is yours to see yet. Read a folder into one, and its owner may share it with you:" command="potluck rag ingest ~/documents --space documents" />
      )}
      {readable.length > 0 && <Search spaces={readable} />}
      {answer && answer.length > 0 && <Listing spaces={answer} />}
    </>
  );
}

function Listing({ spaces }: { spaces: Space[] }) {
  return (
    <section>
      <h2>Spaces</h2>
      <Table
        caption="Spaces"
        rows={spaces}
        keyOf={(space) => space.id}
        columns={[
          { title: "name", cell: (space) => <a href={addressOf("knowledge", space.id)}>{nameOf(space)}</a> },
          { title: "class", cell: (space) => <Kind space={space} /> },
          { title: "state", cell: (space) => <Standing space={space} /> },
          { title: "documents", number: true, cell: (space) => count(space.file_counts.completed) },
          { title: "chunks", number: true, cell: (space) => count(space.potluck.chunks) },
          { title: "size", number: true, cell: (space) => bytes(space.usage_bytes) },
          { title: "encoder", cell: (space) => space.potluck.embedding_model },
          { title: "last used", cell: (space) => moment(space.last_active_at) },
          { title: "may see it", wide: true, cell: (space) => seers(space.potluck) },
        ]}
      />
    </section>
  );
}
