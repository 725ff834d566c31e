/** Answers of single questions: who is signed in, what fits where, which way a request went. */

export interface SessionFacts {
  name: string;
  role: string;
  scopes: string[];
  idle_s: number;
}

/** How else than by a key people may log in. */
export interface LoginWays {
  oidc?: string;
}

export type Answer = "fits" | "after evicting" | "with changes" | "never";

export interface FitRow {
  node: string;
  engine: string;
  quantisation: string;
  machine: string;
  shape_from: string;
  answer: Answer;
  why: string;
  need_bytes: number;
  items: { term: string; bytes: number; how: string }[];
  budget_bytes: number;
  free_bytes: number;
  short_bytes: number;
  evicted: string[];
  changes: { what: string; context_tokens: number; users: number; kv_bits: number; need_bytes: number }[];
  most_users: number;
}

export interface FitDocument {
  model: string;
  context_tokens: number;
  users: number;
  kv_bits: number;
  fits: boolean;
  rows: FitRow[];
}

export interface DecisionRow {
  request_id: string;
  at: number;
  model: string;
  node?: string | null;
  engine?: string | null;
  reason?: string | null; // none where no engine was chosen
  error?: string | null;
  status?: number | null;
  outcome?: string | null;
  queued_ms?: number | null;
  first_token_ms?: number | null;
  duration_ms?: number | null;
  input_tokens?: number | null;
  output_tokens?: number | null;
}

export interface Ranked {
  engine_id: string;
  node_id: string;
  total: number;
  terms: Record<string, number>;
  slots: number;
  in_flight: number;
  cached_tokens?: number | null;
  home?: boolean | null;
}

export interface Explanation {
  request_id?: string | null;
  decided_wall_s: number;
  model: string;
  policy: string;
  reason: string;
  chosen?: string | null;
  node_id?: string | null;
  prompt_tokens?: number | null;
  output_tokens?: number | null;
  unit: string;
  ranking: Ranked[];
  rejected: { engine_id: string; why: string }[];
  rejected_more: number;
  candidates: number;
  margin?: number | null;
  as_good_as_equal: boolean;
  smallest?: { words: string } | null;
  predicted_s?: number | null;
  observed_s?: number | null;
  tries: number;
  side_call?: string | null;
}

/** `explanation` is absent where no engine was chosen, or its record is gone. */
export interface Decided {
  row: DecisionRow;
  explanation?: Explanation | null;
}
