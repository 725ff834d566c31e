/** Nothing to show yet, and what to do about it. */

import { Cli } from "./copy";

export function Empty({ text, command }: { text: string; command?: string }) {
  return (
    <div class="empty">
      <p>{text}</p>
      {command && <Cli command={command} />}
    </div>
  );
}

export function Problem({ text }: { text: string }) {
  return (
    <p class="problem" role="alert">
      {text}
    </p>
  );
}
