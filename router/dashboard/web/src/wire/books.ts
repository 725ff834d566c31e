/** Answers for whoever runs the cluster: how far machines go, models on disk, keys, usage, and the audit. */

export interface FrontierPoint {
  context_tokens: number;
  users_alone: number;
  users_beside: number;
}

/** `alone`: with nothing else on the machine; `beside`: beside what is there now. 0: not even one. */
export interface Frontier {
  node: string;
  engine: string;
  quantisation: string;
  longest_tokens: number;
  budget_bytes: number;
  free_bytes: number;
  context_alone: number;
  context_beside: number;
  points: FrontierPoint[];
}

export interface FrontierDocument {
  model: string;
  context_tokens: number;
  users: number;
  kv_bits: number;
  rows: Frontier[];
}

export interface Disk {
  path: string;
  total_bytes: number;
  free_bytes: number;
  models_bytes: number;
}

export interface Artifact {
  artifact_id: string;
  format: string;
  revision: string;
  source: string;
  size_bytes: number;
  quantisation?: string;
  licence?: string;
  context_length?: number;
  copies: { node: string; since: number; engines: string[] }[];
}

export interface Pull {
  node: string;
  state: string;
  done_bytes: number;
  holder?: string;
  total_bytes?: number;
  reason?: string;
}

export interface ShelfModel {
  artifacts: Artifact[];
  pulls?: Pull[];
  configured?: boolean;
}

export interface Shelf {
  models: Record<string, ShelfModel>;
  disks: Record<string, Disk>;
}

export interface LimitState {
  name: string;
  limit: number;
  used: number;
}

export interface KeyRow {
  name: string;
  key_id: string;
  role: string;
  group: string;
  tenant: string;
  data_class: string;
  state: string;
  created: number;
  scopes: string[];
  models?: string[];
  front_end?: boolean;
  expires?: number;
  limits?: LimitState[];
  hours?: string[];
}

export interface GroupRow {
  name: string;
  tenant: string;
  keys: number;
  priority?: number;
  limits?: LimitState[];
  hours?: string[];
  each?: Record<string, number>;
}

export interface KeyBook {
  keys: KeyRow[];
  groups: GroupRow[];
}

export interface Sums {
  requests: number;
  refused: number;
  failed: number;
  cancelled: number;
  inexact: number;
  input_tokens: number;
  cached_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  cache_hits: number;
  seconds: number;
}

export interface UsageLine {
  of: Record<string, string>;
  sums: Sums;
}

export interface UsageBook {
  by: string[];
  since: number;
  until: number;
  rows: UsageLine[];
  total: Sums;
}

export interface AuditRow {
  sequence: number;
  at: number;
  node: string;
  action: string;
  outcome: string;
  actor: { kind: string; name: string; tenant: string; role: string };
  target: string;
  request_id: string;
  details: Record<string, string | number | boolean>;
  personal: Record<string, string>;
}

export interface AuditBook {
  rows: AuditRow[];
  before: number | null;
}

export interface AuditVerdict {
  records: number;
  first: number;
  last: number;
  public_key: string;
  agreeing: [string, number][];
  finding: { fault: string; sequence: number; through: number; message: string } | null;
  unasked: string[];
}
