/** What the stream does not bring: asked for when the page opens, and again while somebody is there. */

import { useEffect, useState } from "preact/hooks";
import { attended } from "../store/activity";
import { refused } from "../store/session";

export interface Polled<Answer> {
  answer: Answer | null;
  problem: string | null;
  again: () => void;
}

/** Anew whenever `about` changes; the answer before stays until the next one is there. */
export function usePolled<Answer>(ask: () => Promise<Answer>, about: string, everyMs: number): Polled<Answer> {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let open = true;
    const look = async () => {
      try {
        const found = await ask();
        if (!open) return;
        setAnswer(found);
        setProblem(null);
      } catch (error) {
        if (open) setProblem(refused(error));
      }
    };
    void look();
    const timer = window.setInterval(() => attended() && void look(), everyMs);
    return () => {
      open = false;
      window.clearInterval(timer);
    };
  }, [about, round]);
  return { answer, problem, again: () => setRound(round + 1) };
}
