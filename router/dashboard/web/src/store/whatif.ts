/** One question about one model, and what the head answered. Nothing is computed here. */

import { signal } from "@preact/signals";
import { api, type FitQuestion } from "../wire/api";
import type { FrontierDocument } from "../wire/books";
import type { FitDocument } from "../wire/documents";
import { refused } from "./session";

export interface Question {
  model: string;
  quant: string; // "": an artifact that is here, or what is usual for each engine
  node: string; // "": every machine
  context: number;
  users: number;
  kv_bits: number;
}

export interface Answers {
  fit: FitDocument;
  frontier: FrontierDocument;
}

export const question = signal<Question>({ model: "", quant: "", node: "", context: 8192, users: 1, kv_bits: 16 });
export const answers = signal<Answers | null>(null);
export const trouble = signal<string | null>(null);

const PAUSE_MS = 200; // while a slider moves

let round = 0;

export async function askWhatIf(asked: Question): Promise<void> {
  const mine = ++round;
  await new Promise((resume) => setTimeout(resume, PAUSE_MS));
  if (mine !== round || !asked.model) return;
  try {
    const [fit, frontier] = await Promise.all([api.fit(bodyOf(asked)), api.frontier(bodyOf(asked))]);
    if (mine !== round) return;
    answers.value = { fit, frontier };
    trouble.value = null;
  } catch (error) {
    if (mine !== round) return;
    answers.value = null;
    trouble.value = refused(error);
  }
}

function bodyOf({ model, quant, node, context, users, kv_bits }: Question): FitQuestion {
  return { model, context, users, kv_bits, ...(quant ? { quant } : {}), ...(node ? { node } : {}) };
}
