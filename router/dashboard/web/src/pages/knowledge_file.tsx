/** One file: its versions with when each held, the text of one, and what changed between two. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Badge } from "../parts/badge";
import { Choice } from "../parts/choice";
import { Cli } from "../parts/copy";
import { Diff } from "../parts/diff";
import { Drawer } from "../parts/drawer";
import { Problem } from "../parts/empty";
import { quoted } from "../parts/shell";
import { Table } from "../parts/table";
import { bytes, count, moment, plural } from "../parts/words";
import { refused } from "../store/session";
import { nameOf, type Difference, type Space, type SpaceFile, type Version } from "../wire/knowledge";
import { knowledge } from "../wire/knowledge_api";

export interface Opened {
  file: string;
  version?: number;
}

type Shown = { text: number } | { from: number; to: number };

interface Props {
  space: Space;
  opened: Opened;
  close: () => void;
}

export function FileDrawer({ space, opened, close }: Props) {
  const [file, setFile] = useState<SpaceFile | null>(null);
  const [versions, setVersions] = useState<Version[] | null>(null);
  const [shown, setShown] = useState<Shown | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const failed = (error: unknown) => setProblem(refused(error));
    knowledge.file(space.id, opened.file).then(setFile, failed);
    knowledge.versions(space.id, opened.file).then(({ data }) => {
      setVersions([...data].reverse());
      const wanted = opened.version ?? data[data.length - 1]?.version;
      if (wanted !== undefined) setShown({ text: wanted });
    }, failed);
  }, [space.id, opened.file]);
  const name = file?.potluck.filename ?? "";
  const whole = space.potluck.rights.includes("read_whole");
  return (
    <Drawer title={name || "File"} close={close}>
      {problem && <Problem text={problem} />}
      {!whole && (
        <p class="why">Licensed material ({space.potluck.licence}): search finds passages of it; only its owners open it as a whole.</p>
      )}
      {versions && <Versions versions={versions} shown={shown} show={whole ? setShown : null} />}
      {whole && versions && versions.length > 1 && <Compare versions={versions} shown={shown} show={setShown} />}
      {whole && shown && name && <Looked space={space} file={opened.file} name={name} shown={shown} />}
    </Drawer>
  );
}

function Versions({ versions, shown, show }: { versions: Version[]; shown: Shown | null; show: ((shown: Shown) => void) | null }) {
  return (
    <section>
      <h3>{plural(versions.length, "version")}</h3>
      <Table
        caption="Versions, newest first"
        rows={versions}
        keyOf={(version) => version.version}
        columns={[
          { title: "version", cell: (version) => count(version.version) },
          { title: "held from", cell: (version) => moment(version.made_at) },
          {
            title: "until",
            cell: (version) => (version.ended_at === null ? <Badge state="holds" tone="good" /> : moment(version.ended_at)),
          },
          { title: "chunks", number: true, cell: (version) => count(version.chunks) },
          { title: "size", number: true, cell: (version) => bytes(version.usage_bytes) },
          ...(show ? [{
            title: "look at it",
            cell: ({ version }: Version) => (
              <button
                type="button"
                class="act"
                aria-pressed={shown !== null && "text" in shown && shown.text === version}
                aria-label={`Text of version ${version}`}
                onClick={() => show({ text: version })}
              >
                Text
              </button>
            ),
          }] : []),
        ]}
      />
    </section>
  );
}

function Compare({ versions, shown, show }: { versions: Version[]; shown: Shown | null; show: (shown: Shown) => void }) {
  const numbers = versions.map((version) => String(version.version));
  const [from, setFrom] = useState(numbers[1] ?? "");
  const [to, setTo] = useState(numbers[0] ?? "");
  const options = numbers.map((value) => ({ value, words: `version ${value}` }));
  return (
    <section aria-label="Compare">
      <form
        class="questions"
        onSubmit={(event) => {
          event.preventDefault();
          show({ from: Number(from), to: Number(to) });
        }}
      >
        <Choice title="From" value={from} options={options} choose={setFrom} />
        <Choice title="To" value={to} options={options} choose={setTo} />
        <button type="submit" disabled={from === to} aria-pressed={shown !== null && "from" in shown}>
          Compare
        </button>
      </form>
    </section>
  );
}

/** The text of one version, or what changed: whatever was asked for last. */
function Looked({ space, file, name, shown }: { space: Space; file: string; name: string; shown: Shown }) {
  const [texts, setTexts] = useState<string[] | null>(null);
  const [difference, setDifference] = useState<Difference | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const asked = useRef(0);
  useEffect(() => {
    const turn = ++asked.current;
    const mine = <Found,>(take: (found: Found) => void) => (found: Found) => turn === asked.current && take(found);
    const failed = mine((error: unknown) => setProblem(refused(error)));
    setTexts(null);
    setDifference(null);
    setProblem(null);
    if ("text" in shown) {
      knowledge.text(space.id, file, shown.text).then(mine((found) => setTexts(found.data.map((part) => part.text))), failed);
    } else {
      knowledge.difference(space.id, file, shown.from, shown.to).then(mine(setDifference), failed);
    }
  }, [JSON.stringify(shown)]);
  if ("text" in shown) {
    return (
      <section>
        <h3>Text of version {shown.text}</h3>
        <Cli command={`potluck rag show ${quoted(name)} --space ${quoted(nameOf(space))} --version ${shown.text}`} />
        {problem && <Problem text={problem} />}
        {texts && <Text texts={texts} version={shown.text} />}
      </section>
    );
  }
  return (
    <section>
      <h3>
        From version {shown.from} to version {shown.to}
      </h3>
      <Cli command={`potluck rag diff ${quoted(nameOf(space))} ${quoted(name)} ${shown.from} ${shown.to}`} />
      {problem && <Problem text={problem} />}
      <p role="status" class="quietly">
        {difference && (difference.text ? `${plural(difference.added, "line")} added, ${count(difference.removed)} removed` : "Nothing that can be read changed.")}
      </p>
      {difference?.text && <Diff label={`From version ${shown.from} to version ${shown.to}`} text={difference.text} />}
    </section>
  );
}

function Text({ texts, version }: { texts: string[]; version: number }) {
  return (
    <div class="document" tabIndex={0} role="region" aria-label={`Text of version ${version}`}>
      {texts.map((text, at) => (
        <p key={at}>{text}</p>
      ))}
    </div>
  );
}
