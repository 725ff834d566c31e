/** Questions to the gateway, each with what it answers. A refusal is an ApiError with the gateway's own words. */

import type { Decided, DecisionRow, FitDocument, LoginWays, SessionFacts } from "./documents";

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface FitQuestion {
  model: string;
  context: number;
  users: number;
  kv_bits: number;
}

export const api = {
  session: () => ask<SessionFacts>("GET", "/dashboard/session"),
  signIn: (key: string) => ask<SessionFacts>("POST", "/dashboard/session", { key }),
  ways: () => ask<LoginWays>("GET", "/dashboard/ways"),
  signOut: () => ask<unknown>("DELETE", "/dashboard/session"),
  fit: (question: FitQuestion) => ask<FitDocument>("POST", "/api/v1/fit", question),
  decisions: (limit: number) => ask<{ rows: DecisionRow[] }>("GET", `/api/v1/decisions?limit=${limit}`),
  decision: (id: string) => ask<Decided>("GET", `/api/v1/decisions/${encodeURIComponent(id)}`),
};

async function ask<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  const headers: Record<string, string> = { "x-potluck-dashboard": "1" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw new ApiError(0, "The gateway does not answer. Is it running? `potluck status` says.");
  }
  const text = await response.text();
  if (!response.ok) throw new ApiError(response.status, messageOf(text) ?? `The gateway answered ${response.status}.`);
  return (text ? JSON.parse(text) : null) as Answer;
}

function messageOf(text: string): string | null {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: string } };
    return error?.message ?? null;
  } catch {
    return null;
  }
}
