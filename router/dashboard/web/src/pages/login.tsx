/** Signing in with a key. It goes to the gateway once, which keeps a session; the page keeps nothing. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Cli } from "../parts/copy";
import { Problem } from "../parts/empty";
import { notice, signIn } from "../store/session";
import { ApiError } from "../wire/api";
import { ByIssuer } from "./login_issuer";

export function LoginPage() {
  const [key, setKey] = useState("");
  const [code, setCode] = useState<string | null>(null); // null until the key is known to need one
  const [problem, setProblem] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const submit = async () => {
    setAsking(true);
    setProblem(null);
    try {
      await signIn(key.trim(), code);
    } catch (error) {
      if (error instanceof ApiError && error.code === "totp_needed") setCode("");
      else setProblem(error instanceof Error ? error.message : String(error));
      setAsking(false);
    }
  };
  const digits = useRef<HTMLInputElement>(null);
  const asked = code !== null;
  useEffect(() => {
    if (asked) digits.current?.focus();
  }, [asked]);
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
          onInput={(event) => {
            setKey(event.currentTarget.value);
            setCode(null);
          }}
        />
        {asked && (
          <>
            <label for="code">Six digits of the authenticator app</label>
            <input
              id="code"
              ref={digits}
              type="text"
              inputMode="numeric"
              autocomplete="one-time-code"
              pattern="[0-9]{6}"
              maxLength={6}
              required
              value={code}
              onInput={(event) => setCode(event.currentTarget.value)}
            />
          </>
        )}
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
