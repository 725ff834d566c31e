/** What went wrong where the issuer brought somebody back who is not signed in. */

const WORDS: Record<string, string> = {
  audit_unavailable: "Nobody can be signed in while the head is away. Try again in a while.",
  code_refused: "The issuer took the sign-in back. Try again.",
  issuer_down: "The issuer does not answer. Try again, or sign in with a key.",
  issuer_refused: "The issuer did not sign you in.",
  issuer_wrong: "The issuer is not set up as the gateway expects. The gateway's log says what is wrong.",
  login_lost: "This sign-in was not begun here, or it took too long. Try again.",
  login_off: "This gateway has no issuer to sign in with.",
  not_known: "The issuer knows you, but nobody has given you access here. Ask whoever runs this cluster.",
  token_refused: "What the issuer says about you does not hold. The gateway's log says why.",
};

/** By the code in the address, once, and never by words in it: those could be anybody's. */
export function broughtBack(): string | null {
  const code = new URLSearchParams(window.location.search).get("login");
  if (code === null) return null;
  window.history.replaceState(null, "", window.location.pathname);
  return WORDS[code] ?? "The sign-in did not succeed. Try again.";
}
