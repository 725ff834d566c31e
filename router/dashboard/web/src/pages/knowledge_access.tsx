/** Who may see what of a space, in words; its owners share it and take that back. */

import { useState } from "preact/hooks";
import { Ask } from "../parts/ask";
import { Choice, named } from "../parts/choice";
import { EVERYONE, GRANTED, words, type Granted } from "../parts/grants";
import { quoted } from "../parts/shell";
import { nameOf, type Space } from "../wire/knowledge";
import { knowledge } from "../wire/knowledge_api";

type As = "readers" | "owners";
const ROLES = ["user", "operator", "admin", "display"];
const SAID: Record<As, string> = {
  owners: "own it: they read all of it, add and remove files, and say who else may",
  readers: "read it: they search it and open its documents",
};

interface Wish {
  as: As;
  grant: string;
  gone: boolean;
}

export function Access({ space, again }: { space: Space; again: () => void }) {
  const { licence, data_class: kind, rights } = space.potluck;
  const [wish, setWish] = useState<Wish | null>(null);
  const shares = rights.includes("share");
  return (
    <section>
      <h2>Who may see what</h2>
      <div class="card">
        <Grants as="owners" space={space} remove={shares ? setWish : null} />
        <Grants as="readers" space={space} remove={shares ? setWish : null} />
        {licence && (
          <p class="why">
            Licensed material: {licence}. Readers find passages of it; only owners open a document as a whole.
          </p>
        )}
        <p class="quietly">
          Its privacy class is {kind}, and goes to those machines only that cluster.yaml has for it. {mine(space)}
        </p>
        {shares && <Share set={setWish} />}
      </div>
      {wish && <Confirm space={space} wish={wish} again={again} close={() => setWish(null)} />}
    </section>
  );
}

function mine({ potluck: { rights } }: Space): string {
  if (rights.includes("change")) return "You own it.";
  if (rights.includes("read")) return "You may read it; its owners may change it.";
  return "You administer it, and may read nothing of it until it is shared with you.";
}

function Grants({ as, space, remove }: { as: As; space: Space; remove: ((wish: Wish) => void) | null }) {
  const grants = space.potluck[as];
  return (
    <div>
      <p>
        <b>{as === "owners" ? "Owners" : "Readers"}</b> <span class="quietly">{SAID[as]}</span>
      </p>
      {grants === null ? (
        <p class="quietly">You are among them. Who else is, its owners know.</p>
      ) : grants.length === 0 ? (
        <p class="quietly">{as === "readers" ? "Nobody but its owners." : "Nobody."}</p>
      ) : (
        <ul class="grants" aria-label={as === "owners" ? "Owners" : "Readers"}>
          {grants.map((grant) => (
            <li key={grant} class="chip">
              {words(grant)}
              {remove && !(as === "owners" && grants.length === 1) && (
                <button type="button" class="quiet" aria-label={`Take back from ${words(grant)}`} onClick={() => remove({ as, grant, gone: true })}>
                  Take back
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Share({ set }: { set: (wish: Wish) => void }) {
  const [kind, setKind] = useState<Granted>("group");
  const [name, setName] = useState("");
  const [role, setRole] = useState("user");
  const [as, setAs] = useState<As>("readers");
  const said = kind === "role" ? role : name.trim();
  const grant = kind === EVERYONE ? EVERYONE : said && `${kind}:${said}`;
  return (
    <form
      class="questions"
      aria-label="Share"
      onSubmit={(event) => {
        event.preventDefault();
        if (grant) set({ as, grant, gone: false });
      }}
    >
      <Choice title="Share with" value={kind} options={named(GRANTED)} choose={(value) => setKind(value as Granted)} />
      {kind === "role" && <Choice title="Role" value={role} options={named(ROLES)} choose={setRole} />}
      {kind !== "role" && kind !== EVERYONE && (
        <label>
          Its name
          <input type="text" required maxLength={200} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
      )}
      <Choice
        title="As"
        value={as}
        options={[
          { value: "readers", words: "reader" },
          { value: "owners", words: "owner" },
        ]}
        choose={(value) => setAs(value as As)}
      />
      <button type="submit">Share …</button>
    </form>
  );
}

function Confirm({ space, wish, again, close }: { space: Space; wish: Wish; again: () => void; close: () => void }) {
  const { as, grant, gone } = wish;
  const whom = words(grant);
  const before = space.potluck[as] ?? [];
  const after = gone ? before.filter((one) => one !== grant) : [...before.filter((one) => one !== grant), grant];
  const name = nameOf(space);
  const said = gone ? `--unshare ${quoted(grant)}` : `--with ${quoted(grant)}${as === "owners" ? " --owner" : ""}`;
  const act = async () => {
    await knowledge.share(space.id, { [as]: after });
    again();
  };
  return (
    <Ask
      title={gone ? `Take ${name} back from ${whom}` : `Share ${name} with ${whom}`}
      confirm={gone ? "Take back" : "Share"}
      command={`potluck rag share ${quoted(name)} ${said}`}
      done={gone ? `${name}: taken back from ${whom}` : `${name}: shared with ${whom}`}
      act={act}
      close={close}
    >
      {gone ? (
        <p>From then on {whom} may not {as === "owners" ? "change it" : "read it"}, unless another grant says so. What was read is not unread.</p>
      ) : (
        <p>From then on {whom} may {as === "owners" ? "own it: read it, add and remove files, and share it" : "search it and read what is in it"}.</p>
      )}
      <p>Its privacy class stays {space.potluck.data_class}. The audit has who shared it with whom.</p>
    </Ask>
  );
}
