/** A question to spaces, and what is found: each passage with why, and what stands around it; or that nothing is. */

import { useState } from "preact/hooks";
import { Badge } from "../parts/badge";
import { Cli } from "../parts/copy";
import { Problem } from "../parts/empty";
import { Marked } from "../parts/marked";
import { quoted } from "../parts/shell";
import { plural } from "../parts/words";
import { addressOf } from "../store/place";
import { refused } from "../store/session";
import { nameOf, type Answer, type Part, type Passage, type Space } from "../wire/knowledge";
import { knowledge } from "../wire/knowledge_api";

interface Asked {
  text: string;
  asOf: string;
  answer: Answer;
}

export function Search({ spaces, open }: { spaces: Space[]; open?: (file: string, version: number) => void }) {
  const [text, setText] = useState("");
  const [asOf, setAsOf] = useState("");
  const [asking, setAsking] = useState(false);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const go = async () => {
    if (!text.trim() || asking) return;
    setAsking(true);
    setProblem(null);
    try {
      setAsked({ text, asOf, answer: await knowledge.search(text.trim(), spaces.map((space) => space.id), asOf) });
    } catch (error) {
      setAsked(null);
      setProblem(refused(error));
    }
    setAsking(false);
  };
  return (
    <section aria-label="Search">
      <h2>{spaces.length === 1 ? "Ask it" : "Ask all of them"}</h2>
      <form class="questions ask-documents" role="search" onSubmit={(event) => { event.preventDefault(); void go(); }}>
        <label class="grow">
          Question
          <input type="search" required maxLength={4000} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <label>
          As of the end of (UTC)
          <input type="date" value={asOf} onInput={(event) => setAsOf(event.currentTarget.value)} />
        </label>
        <button type="submit" class="main" disabled={asking}>
          {asking ? "Looking …" : "Search"}
        </button>
      </form>
      {problem && <Problem text={problem} />}
      <div role="status" class="outcome">{asked && <Outcome {...asked} />}</div>
      {asked && <Found asked={asked} spaces={spaces} open={open} />}
    </section>
  );
}

/** What came of it, in the words of the command line. */
function Outcome({ answer, asOf }: Asked) {
  const nothing = answer.passages.length === 0;
  return (
    <p class="why">
      {nothing ? <Badge state="nothing relevant found" tone="warn" /> : <Badge state={plural(answer.passages.length, "passage")} tone="good" />}{" "}
      {answer.reason}
      {asOf && `, as of ${asOf}`}
    </p>
  );
}

function Found({ asked, spaces, open }: { asked: Asked; spaces: Space[]; open: Opener }) {
  const { passages, others } = asked.answer;
  const [only] = spaces;
  const when = asked.asOf ? ` --as-of ${asked.asOf}` : "";
  const rows = (all: Passage[]) =>
    all.map((one) => (
      <li key={`${one.file_id} ${one.number} ${one.source} ${one.chunks[0]?.text.slice(0, 40)}`}>
        <OnePassage passage={one} space={spaces.find((space) => space.id === one.vector_store_id)} alone={spaces.length === 1} open={open} />
      </li>
    ));
  return (
    <>
      {spaces.length === 1 && only && <Cli command={`potluck rag query ${quoted(asked.text)} --space ${quoted(nameOf(only))}${when}`} />}
      {passages.length > 0 && <ol class="stack passages" aria-label="Passages">{rows(passages)}</ol>}
      {others.length > 0 && (
        <details class="others">
          <summary>
            {plural(others.length, passages.length > 0 ? "other chunk" : "chunk")} that no model would be told of
          </summary>
          <ol class="stack passages" aria-label="Other chunks">{rows(others)}</ol>
        </details>
      )}
    </>
  );
}

type Opener = ((file: string, version: number) => void) | undefined;

function OnePassage({ passage, space, alone, open }: { passage: Passage; space: Space | undefined; alone: boolean; open: Opener }) {
  const version = passage.chunks[0]?.version ?? 1;
  return (
    <article class="card passage" aria-label={passage.source}>
      <header>
        <h3>
          {passage.number !== null && <span class="quietly">[{passage.number}] </span>}
          {passage.source}
        </h3>
        <span class="quietly">
          {!passage.source.startsWith(passage.filename) && `${passage.filename} · `}version {version}
        </span>
        {!alone && space && <a href={addressOf("knowledge", space.id)}>{nameOf(space)}</a>}
        {open && (
          <button type="button" class="quiet" onClick={() => open(passage.file_id, version)} aria-label={`Versions of ${passage.filename}`}>
            Versions
          </button>
        )}
      </header>
      {passage.chunks.map((part, at) => (
        <OnePart key={at} part={part} />
      ))}
    </article>
  );
}

function OnePart({ part }: { part: Part }) {
  const where = `${part.locator.kind} ${part.locator.value}`.trim();
  return (
    <div class={`part ${part.found ? (part.relevant ? "relevant" : "found") : "beside"}`}>
      <p class="part-head">
        {part.found && <Badge state={part.relevant ? "relevant" : "not relevant"} tone={part.relevant ? "good" : "off"} />}
        {part.found && <span>score {part.score.toFixed(2)}</span>}
        {where && <span>{where}</span>}
        <span>{part.reason}</span>
      </p>
      <p class="part-text">
        <Marked text={part.text} marks={part.marks} />
      </p>
    </div>
  );
}
