/** A state in a word, with a shape and a colour that say the same. */

type Tone = "good" | "busy" | "warn" | "bad" | "off";

const TONES: Record<string, Tone> = {
  ready: "good",
  fits: "good",
  ok: "good",
  joining: "busy",
  starting: "busy",
  stopping: "busy",
  draining: "busy",
  yielding: "busy",
  suspect: "warn",
  cordoned: "warn",
  backoff: "warn",
  "after evicting": "warn",
  "with changes": "warn",
  cancelled: "warn",
  rate_limited: "warn",
  lost: "bad",
  failed: "bad",
  quarantined: "bad",
  never: "bad",
  asleep: "off",
  unplaced: "off",
  stopped: "off",
  unloaded: "off",
  valid: "good",
  done: "good",
  begun: "busy",
  refused: "warn",
  expired: "warn",
  revoked: "off",
};

const SHAPES: Record<Tone, string> = {
  good: "M3 8.5 6.5 12 13 4.5",
  busy: "M8 2a6 6 0 1 1-6 6M8 5v3l2 2",
  warn: "M8 2.5 14 13.5H2zM8 6.5v3M8 11.5v.5",
  bad: "M4 4l8 8M12 4l-8 8",
  off: "M8 3a5 5 0 1 0 .01 0z",
};

export function toneOf(state: string): Tone {
  return TONES[state] ?? "off";
}

export function Icon({ tone }: { tone: Tone }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={SHAPES[tone]} />
    </svg>
  );
}

export function Badge({ state, tone = toneOf(state) }: { state: string; tone?: Tone }) {
  return (
    <span class={`badge ${tone}`}>
      <Icon tone={tone} />
      {state}
    </span>
  );
}
