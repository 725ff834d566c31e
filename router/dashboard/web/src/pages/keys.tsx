/** Who may ask: keys and groups with their limits, never a secret; and what they used. */

import { Usage } from "./usage";
import { Badge } from "../parts/badge";
import { Cli } from "../parts/copy";
import { Empty, Problem } from "../parts/empty";
import { usePolled } from "../parts/polled";
import { Table } from "../parts/table";
import { count, moment, plain, span } from "../parts/words";
import { api } from "../wire/api";
import type { GroupRow, KeyRow, LimitState } from "../wire/books";

const EVERY_MS = 10_000;
const NEARLY = 0.8; // of a limit

export function KeysPage() {
  const { answer, problem } = usePolled(api.keys, "", EVERY_MS);
  const names = Object.fromEntries((answer?.keys ?? []).map((key) => [key.key_id, key.name]));
  return (
    <>
      <Cli command="potluck keys ls" />
      {problem && <Problem text={problem} />}
      {answer && <Keys keys={answer.keys} />}
      {answer && answer.groups.length > 0 && <Groups groups={answer.groups} />}
      <Usage names={names} />
    </>
  );
}

function Keys({ keys }: { keys: KeyRow[] }) {
  const alone = keys.length < 2;
  return (
    <section>
      <h2>Who may ask</h2>
      <Table
        caption="Keys"
        rows={[...keys].sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name))}
        keyOf={(key) => key.key_id}
        columns={[
          { title: "name", cell: (key) => key.name },
          { title: "id", cell: (key) => <code>{key.key_id}</code> },
          { title: "state", cell: (key) => <Badge state={key.state} /> },
          { title: "role", cell: (key) => (key.front_end ? `${key.role}, front end` : key.role) },
          { title: "group", cell: (key) => key.group },
          { title: "limits", wide: true, cell: (key) => <Limits limits={key.limits} hours={key.hours} /> },
          { title: "models", cell: (key) => key.models?.join(", ") ?? "all" },
          { title: "may", wide: true, cell: (key) => key.scopes.join(", ") },
          { title: "made", cell: (key) => moment(key.created) },
          { title: "ends", cell: (key) => ends(key) },
        ]}
      />
      {alone && (
        <Empty text="There is only the owner's key. Give each person and program one of its own:" command="potluck keys create --name anna" />
      )}
    </section>
  );
}

function rank(key: KeyRow): number {
  return key.state === "valid" ? 0 : 1;
}

function ends(key: KeyRow): string {
  if (key.expires == null) return "never";
  const left = key.expires - Date.now() / 1000;
  return left > 0 ? `in ${span(left)}` : moment(key.expires);
}

/** What counts now against what is allowed. A limit that is nearly used up says so. */
function Limits({ limits, hours }: { limits: LimitState[] | undefined; hours: string[] | undefined }) {
  if (!limits?.length && !hours?.length) return <span class="quietly">none</span>;
  return (
    <ul>
      {limits?.map((one) => (
        <li key={one.name}>
          {count(one.used)} of {count(one.limit)} {plain(one.name)}{" "}
          {one.used >= one.limit ? (
            <Badge state="used up" tone="bad" />
          ) : one.used >= NEARLY * one.limit ? (
            <Badge state="nearly used up" tone="warn" />
          ) : null}
        </li>
      ))}
      {hours && hours.length > 0 && <li>served {hours.join(", ")}</li>}
    </ul>
  );
}

function Groups({ groups }: { groups: GroupRow[] }) {
  return (
    <section>
      <h2>Groups</h2>
      <Table
        caption="Groups"
        rows={groups}
        keyOf={(group) => `${group.tenant} ${group.name}`}
        columns={[
          { title: "group", cell: (group) => group.name },
          { title: "tenant", cell: (group) => group.tenant },
          { title: "keys", number: true, cell: (group) => count(group.keys) },
          { title: "priority", number: true, cell: (group) => count(group.priority ?? 0) },
          { title: "limits, together", wide: true, cell: (group) => <Limits limits={group.limits} hours={group.hours} /> },
          { title: "each of its keys", wide: true, cell: (group) => each(group) },
        ]}
      />
    </section>
  );
}

function each(group: GroupRow): string {
  const said = Object.entries(group.each ?? {}).map(([name, limit]) => `${count(limit)} ${plain(name)}`);
  return said.join(", ") || "no limit of their own";
}
