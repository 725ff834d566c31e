/** What the head answered about each model, for one workload. Nothing is computed here. */

import { signal } from "@preact/signals";
import { api } from "../wire/api";
import type { FitDocument } from "../wire/documents";
import { refused } from "./session";

export interface Workload {
  context: number;
  users: number;
  kv_bits: number;
}

export type Fit = { document: FitDocument } | { problem: string } | "asking";

export const workload = signal<Workload>({ context: 8192, users: 1, kv_bits: 16 });
export const besides = signal<readonly string[]>([]); // models that the cluster does not have
export const fits = signal<Record<string, Fit>>({});

let round = 0;

/** Anew, one model after the other: the head does this beside its real work. */
export async function askFits(models: readonly string[]): Promise<void> {
  const mine = ++round;
  const question = workload.value;
  fits.value = Object.fromEntries(models.map((model) => [model, fits.value[model] ?? "asking"]));
  for (const model of models) {
    const fit = await answerOf({ model, ...question });
    if (mine !== round) return; // asked anew meanwhile
    fits.value = { ...fits.value, [model]: fit };
  }
}

async function answerOf(question: Workload & { model: string }): Promise<Fit> {
  try {
    return { document: await api.fit(question) };
  } catch (error) {
    return { problem: refused(error) };
  }
}
