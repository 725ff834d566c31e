/** What people call keys, by their ids, for whoever may know that; else ids stay ids. */

import { signal } from "@preact/signals";
import { api } from "../wire/api";
import { may } from "./session";

export const keyNames = signal<Record<string, string>>({});

export async function learnKeyNames(): Promise<void> {
  if (!may("usage.read")) return;
  try {
    const { keys } = await api.keys();
    keyNames.value = Object.fromEntries(keys.filter((key) => key.name).map((key) => [key.key_id, key.name]));
  } catch {
    // without the head nobody knows them: ids say it as well
  }
}
