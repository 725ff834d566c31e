/** Who is signed in: null nobody, undefined not yet asked. The cookie itself is out of the page's reach. */

import { signal } from "@preact/signals";
import { api, ApiError } from "../wire/api";
import type { SessionFacts } from "../wire/documents";
import { cluster, connect, disconnect } from "./cluster";
import { broughtBack } from "./brought_back";
import { history } from "./history";

export const session = signal<SessionFacts | null | undefined>(undefined);
export const notice = signal<string | null>(null);

const SIGNED_IN = "potluck.signed-in"; // no secret: only whether it is worth asking

/** Whether the key that is signed in may do so. The gateway decides; the page only spares people what would be refused. */
export function may(scope: string): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

export async function resume(): Promise<void> {
  const problem = broughtBack();
  if (problem !== null) localStorage.removeItem(SIGNED_IN);
  notice.value = problem;
  if (localStorage.getItem(SIGNED_IN) === null) {
    session.value = null;
    return;
  }
  try {
    begin(await api.session());
  } catch (error) {
    session.value = null;
    notice.value = error instanceof ApiError && error.status !== 401 ? error.message : null;
  }
}

export async function signIn(key: string, code: string | null): Promise<void> {
  begin(await api.signIn(key, code));
}

/** The issuer's page comes next; whoever comes back from it is asked for as after a reload. */
export function goOff(): void {
  localStorage.setItem(SIGNED_IN, "yes");
  window.location.assign("/dashboard/oidc/login");
}

export async function signOut(): Promise<void> {
  forget();
  notice.value = null;
  await api.signOut().catch(() => undefined);
}

/** To be called with what a question failed with: an ended session leads back to the login. */
export function refused(error: unknown): string {
  if (error instanceof ApiError && error.status === 401) expire();
  return error instanceof Error ? error.message : String(error);
}

function begin(facts: SessionFacts): void {
  localStorage.setItem(SIGNED_IN, "yes");
  session.value = facts;
  notice.value = null;
  if (may("status.read")) connect(() => void lookAgain());
}

/** The stream ended for good: either the session did, or the gateway is away and will be back. */
async function lookAgain(): Promise<void> {
  await api.session().catch(refused);
}

function forget(): void {
  disconnect();
  cluster.value = null;
  history.value = [];
  localStorage.removeItem(SIGNED_IN);
  session.value = null;
}

function expire(): void {
  forget();
  notice.value = "The session has ended. Sign in again.";
}
