/** The cluster as the stream tells it: a snapshot, then patches. One stream for all pages. */

import { signal } from "@preact/signals";
import { merged } from "../wire/merge";
import type { State } from "../wire/state";

export type Link = "connecting" | "live" | "lost";

export const cluster = signal<State | null>(null);
export const link = signal<Link>("connecting");

const RETRY_MS = 2000;
let source: EventSource | null = null;
let retry: number | undefined;

/** `closed` is called where the server has refused the stream, of which the browser does not say why. */
export function connect(closed: () => void): void {
  disconnect();
  link.value = "connecting";
  const opened = new EventSource("/api/v1/events");
  source = opened;
  opened.addEventListener("open", () => {
    if (cluster.value) link.value = "live"; // where it goes on, nothing may have changed meanwhile
  });
  opened.addEventListener("snapshot", (event) => take(JSON.parse((event as MessageEvent<string>).data) as State));
  opened.addEventListener("delta", (event) => {
    if (cluster.value) take(merged(cluster.value, JSON.parse((event as MessageEvent<string>).data)));
  });
  opened.addEventListener("error", () => {
    link.value = "lost";
    if (opened.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    retry = window.setTimeout(() => connect(closed), RETRY_MS);
    closed();
  });
}

export function disconnect(): void {
  window.clearTimeout(retry);
  source?.close();
  source = null;
}

function take(state: State): void {
  cluster.value = state;
  link.value = "live";
}
