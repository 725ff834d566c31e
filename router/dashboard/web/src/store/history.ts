/** Live figures of the last ten minutes, one sample a second while the page is open. A gap is a gap. */

import { signal } from "@preact/signals";
import { cluster, link } from "./cluster";

export interface Sample {
  at: number;
  input: number | null;
  output: number | null;
  running: number | null;
  waiting: number | null;
  requests: number | null;
}

const KEPT_S = 600;

export const history = signal<readonly Sample[]>([]);

export function keepHistory(): void {
  window.setInterval(() => {
    if (!cluster.value) return;
    const at = Math.floor(Date.now() / 1000);
    history.value = [...history.value.filter((sample) => sample.at > at - KEPT_S), sampled(at)];
  }, 1000);
}

function sampled(at: number): Sample {
  const live = link.value === "live" ? cluster.value?.live : undefined;
  return {
    at,
    input: live?.input_tokens_per_s ?? null,
    output: live?.output_tokens_per_s ?? null,
    running: live?.in_flight ?? null,
    waiting: live?.waiting ?? null,
    requests: live?.requests_per_s ?? null,
  };
}
