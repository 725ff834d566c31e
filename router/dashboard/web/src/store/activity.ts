/** Whether somebody is there: a session that nobody uses ends, so the page must not keep it alive by itself. */

import { api } from "../wire/api";
import { refused, session } from "./session";

const AWAY_MS = 120_000;
const TELL_EVERY_MS = 60_000;

let used = Date.now();
let told = Date.now();

export function attended(): boolean {
  return !document.hidden && Date.now() - used < AWAY_MS;
}

/** Looking at what the stream brings asks the gateway nothing; it is told of keys and clicks once a minute. */
export function watchUse(): void {
  for (const kind of ["pointerdown", "keydown", "wheel"]) {
    window.addEventListener(kind, use, { passive: true });
  }
}

function use(): void {
  used = Date.now();
  if (!session.value || used - told < TELL_EVERY_MS) return;
  told = used;
  api.session().catch(refused);
}
