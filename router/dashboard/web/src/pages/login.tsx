/** Signing in with a key. It goes to the gateway once, which keeps a session; the page keeps nothing. */

import { useState } from "preact/hooks";
import { Cli } from "../parts/copy";
import { Problem } from "../parts/empty";
import { notice, signIn } from "../store/session";
import { ByIssuer } from "./login_issuer";

export function LoginPage() {
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const submit = async () => {
    setAsking(true);
    setProblem(null);
    try {
      await signIn(key.trim());
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
      setAsking(false);
    }
  };
  const said = problem ?? notice.value;
  return (
    <main class="login">
      <h1>potluck</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <label for="key">API key</label>
        <input class="unseen" type="text" autocomplete="username" value="potluck" readOnly tabIndex={-1} aria-hidden="true" />
        <input
          id="key"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          required
          placeholder="pl_…"
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <button type="submit" class="main" disabled={asking}>
          Sign in
        </button>
      </form>
      <ByIssuer />
      {said && <Problem text={said} />}
      <p class="note">The owner's key, on the head's machine:</p>
      <Cli command="potluck keys show-owner" />
      <p class="note">A key that may only look, for a screen on the wall:</p>
      <Cli command="potluck keys create --name wall --role display" />
    </main>
  );
}
