/** What the gateway says of the cluster: one document, and patches of it. What is unknown is absent: a patch has no other
 * use for null than to take something away. */

/** `engines`: what engines hold that say nothing of its parts. */
export type MemoryPart = "weights" | "kv" | "runtime" | "engines" | "other" | "free";

export interface Pool {
  total_bytes: number;
  budget_bytes?: number;
  reserved_bytes?: number;
  parts: Partial<Record<MemoryPart, number>>;
}

export interface Node {
  state: string;
  reason: string;
  since: number;
  link: string;
  link_reason: string;
  duty: string;
  labels: Record<string, string>;
  os?: string;
  accelerators: string[];
  engine_kinds: string[];
  pools: Record<string, Pool>;
}

export interface Model {
  state: string;
  reason: string;
  context_tokens?: number;
  capabilities: string[];
  eta_s?: number;
  note: string;
  keep_alive_s?: number;
  away?: boolean; // unloaded by the operator
}

export interface Engine {
  node: string;
  model: string;
  kind: string;
  version?: string;
  state: string;
  reason: string;
  slots?: number;
  running?: number;
  waiting?: number;
  kv_used?: number;
  memory_bytes?: number;
  vram_bytes?: number;
  need_bytes?: number;
  restarts?: number;
}

/** Where its model is: on GPUs, where it has memory there; what it holds of main memory is little then. */
export function held(engine: Engine): number | undefined {
  return engine.vram_bytes || engine.memory_bytes;
}

export interface Figures {
  in_flight?: number;
  waiting?: number;
  requests_per_s?: number;
  input_tokens_per_s?: number;
  output_tokens_per_s?: number;
  ttft_p50_s?: number;
  ttft_p95_s?: number;
  ttft_p99_s?: number;
  tpot_p50_s?: number;
  tpot_p95_s?: number;
  tpot_p99_s?: number;
  cached_ratio?: number;
}

export interface Live {
  in_flight?: number;
  waiting?: number;
  requests_per_s?: number;
  input_tokens_per_s?: number;
  output_tokens_per_s?: number;
  by_model: Record<string, Figures>;
  by_node: Record<string, Figures>;
}

export interface Happening {
  at: number;
  kind: string;
  text: string;
  node?: string;
  model?: string;
}

export interface State {
  cluster: string;
  epoch: number;
  sequence: number;
  config_revision: number;
  taken_at: number;
  age_s?: number;
  endpoint: string;
  nodes: Record<string, Node>;
  models: Record<string, Model>;
  engines: Record<string, Engine>;
  live: Live;
  events: Happening[];
}

/** Sorted by id, so that nothing jumps about between two messages. */
export function entries<Value>(map: Record<string, Value>): [string, Value][] {
  return Object.entries(map).sort(([one], [other]) => one.localeCompare(other));
}
