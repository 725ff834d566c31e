/** Before anything is changed: a dialog that says what will happen, and afterwards a line that says what was done. */

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Cli } from "./copy";
import { Problem } from "./empty";
import { refused } from "../store/session";

interface Props {
  title: string;
  confirm: string; // the button's word: what is done, never "OK"
  command: string; // the same in a terminal
  done: string; // said when the head has taken it up
  act: () => Promise<unknown>;
  close: () => void;
  children: ComponentChildren;
}

const SHOWN_MS = 8000;
const said = signal("");
let timer: number | undefined;

/** What was done last, for eyes and ears; once in the page. */
export function Said() {
  return (
    <p role="status" class={said.value ? "said" : "unseen"}>
      {said.value}
    </p>
  );
}

export function Ask({ title, confirm, command, done, act, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [acting, setActing] = useState(false);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const go = async () => {
    setActing(true);
    setProblem(null);
    try {
      await act();
      dialog.current?.close();
      tell(done);
    } catch (error) {
      setProblem(refused(error));
      setActing(false);
    }
  };
  return (
    <dialog ref={dialog} class="ask" aria-labelledby="ask-title" aria-describedby="ask-text" onClose={close}>
      <h2 id="ask-title">{title}</h2>
      <div id="ask-text" class="ask-text">
        {children}
      </div>
      {problem && <Problem text={problem} />}
      <Cli command={command} />
      <div class="ask-buttons">
        <button type="button" autofocus onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button type="button" class="main" disabled={acting} onClick={() => void go()}>
          {confirm}
        </button>
      </div>
    </dialog>
  );
}

function tell(words: string): void {
  window.clearTimeout(timer);
  said.value = words;
  timer = window.setTimeout(() => {
    said.value = "";
  }, SHOWN_MS);
}
