/** Questions to the gateway, each with what it answers. A refusal is an ApiError with the gateway's own words. */

import type { AuditBook, AuditVerdict, FrontierDocument, KeyBook, Shelf, UsageBook } from "./books";
import type { Decided, DecisionRow, FitDocument, LoginWays, SessionFacts } from "./documents";

export class ApiError extends Error {
  readonly status: number;
  readonly code: string | null;

  constructor(status: number, message: string, code: string | null = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface FitQuestion {
  model: string;
  context: number;
  users: number;
  kv_bits: number;
  quant?: string;
  node?: string;
}

export type NodeVerb = "cordon" | "uncordon" | "drain";
export type ModelVerb = "load" | "unload";

export const api = {
  session: () => ask<SessionFacts>("GET", "/dashboard/session"),
  signIn: (key: string, code: string | null) => ask<SessionFacts>("POST", "/dashboard/session", { key, code }),
  ways: () => ask<LoginWays>("GET", "/dashboard/ways"),
  signOut: () => ask<unknown>("DELETE", "/dashboard/session"),
  fit: (question: FitQuestion) => ask<FitDocument>("POST", "/api/v1/fit", question),
  frontier: (question: FitQuestion) => ask<FrontierDocument>("POST", "/api/v1/fit/frontier", question),
  shelf: () => ask<Shelf>("GET", "/api/v1/artifacts"),
  keys: () => ask<KeyBook>("GET", "/api/v1/keys"),
  usage: (by: string, hours: number) => ask<UsageBook>("GET", `/api/v1/usage?${query({ by, hours })}`),
  audit: (asked: Record<string, string | number>) => ask<AuditBook>("GET", `/api/v1/audit?${query(asked)}`),
  auditVerdict: () => ask<AuditVerdict>("GET", "/api/v1/audit/verdict"),
  actOnNode: (name: string, verb: NodeVerb) => ask<unknown>("POST", `/api/v1/nodes/${encodeURIComponent(name)}/${verb}`),
  actOnModel: (name: string, verb: ModelVerb) =>
    ask<unknown>("POST", `/api/v1/models/${encodeURIComponent(name)}/${verb}`),
  decisions: (limit: number) => ask<{ rows: DecisionRow[] }>("GET", `/api/v1/decisions?limit=${limit}`),
  decision: (id: string) => ask<Decided>("GET", `/api/v1/decisions/${encodeURIComponent(id)}`),
};

/** What is empty is not asked for. */
export function query(asked: Record<string, string | number>): string {
  const said = Object.entries(asked).filter(([, value]) => value !== "");
  return new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
}

export async function ask<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  const headers: Record<string, string> = { "x-potluck-dashboard": "1" };
  const form = body instanceof FormData;
  if (body !== undefined && !form) headers["content-type"] = "application/json"; // of a form the browser says it
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: form ? body : body === undefined ? null : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw new ApiError(0, "The gateway does not answer. Is it running? `potluck status` says.");
  }
  const text = await response.text();
  if (!response.ok) {
    const said = errorOf(text);
    throw new ApiError(response.status, said.message ?? `The gateway answered ${response.status}.`, said.code ?? null);
  }
  return (text ? JSON.parse(text) : null) as Answer;
}

function errorOf(text: string): { message?: string; code?: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: string; code?: string } };
    return error ?? {};
  } catch {
    return {};
  }
}
