/** Who owns and who reads a space, in words. */

import { keyNames } from "../store/key_names";
import type { SpaceMore } from "../wire/knowledge";

export const EVERYONE = "everyone";
export const GRANTED = ["group", "key", "user", "role", EVERYONE] as const;
export type Granted = (typeof GRANTED)[number];

const WORDS: Record<string, (name: string) => string> = {
  group: (name) => `the group ${name}`,
  key: (id) => `the key ${keyNames.value[id] ?? id}`,
  user: (name) => `the person ${name}`,
  role: (name) => `every ${name}`,
};

export function words(grant: string): string {
  if (grant === EVERYONE) return "everyone of this tenant (of the whole cluster in a space of the owner's key)";
  const [kind, name] = [grant.slice(0, grant.indexOf(":")), grant.slice(grant.indexOf(":") + 1)];
  return WORDS[kind]?.(name) ?? grant;
}

export function everyone({ owners, readers }: SpaceMore): boolean {
  return [...owners, ...(readers ?? [])].includes(EVERYONE);
}

export function seers({ owners, readers }: SpaceMore): string {
  const all = [...new Set([...owners, ...(readers ?? [])])];
  if (all.includes(EVERYONE)) return words(EVERYONE);
  return [...all.map(words), ...(readers === null ? ["you"] : [])].join(", ") || "nobody";
}
