/** Signing in by the operator's issuer, where there is one. */

import { useEffect, useState } from "preact/hooks";
import { goOff } from "../store/session";
import { api } from "../wire/api";

export function ByIssuer() {
  const [name, setName] = useState<string | null>(null);
  useEffect(() => {
    api.ways().then(
      (ways) => setName(ways.oidc ?? null),
      () => setName(null),
    );
  }, []);
  if (name === null) return null;
  return (
    <button type="button" class="issuer" onClick={goOff}>
      Sign in with {name}
    </button>
  );
}
