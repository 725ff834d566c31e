/** A command or a text to take along. */

import { useState } from "preact/hooks";

const SHOWN_MS = 1500;

export function CopyButton({ text, label = "Copy", name }: { text: string; label?: string; name?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setCopied(true);
    window.setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <button type="button" class="quiet" aria-label={name} onClick={() => void copy()}>
      <span aria-live="polite">{copied ? "Copied" : label}</span>
    </button>
  );
}

/** The same view in a terminal. */
export function Cli({ command }: { command: string }) {
  return (
    <div class="cli">
      <code>{command}</code>
      <CopyButton text={command} label="Copy as CLI" />
    </div>
  );
}

export function Snippet({ title, text, note }: { title: string; text: string; note?: string }) {
  return (
    <section class="snippet">
      <header>
        <h2>{title}</h2>
        <CopyButton text={text} name={`Copy ${title}`} />
      </header>
      <pre tabIndex={0} aria-label={title}>
        <code>{text}</code>
      </pre>
      {note && <p class="note">{note}</p>}
    </section>
  );
}

/** Browsers give the clipboard to https and to this machine only; a selection can be copied anywhere. */
async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext && "clipboard" in navigator) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => copySelected(text),
    );
  }
  return copySelected(text);
}

function copySelected(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
