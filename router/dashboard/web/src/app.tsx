/** The frame around every page: who one is, where one is, and how fresh what is shown is. */

import type { FunctionComponent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { AuditPage } from "./pages/audit";
import { ClusterPage } from "./pages/cluster";
import { ConnectPage } from "./pages/connect";
import { EventsPage } from "./pages/events";
import { FitPage } from "./pages/fit";
import { KeysPage } from "./pages/keys";
import { KnowledgePage } from "./pages/knowledge";
import { LivePage } from "./pages/live";
import { LoginPage } from "./pages/login";
import { ModelsPage } from "./pages/models";
import { RequestsPage } from "./pages/requests";
import { WhatIfPage } from "./pages/whatif";
import { Said } from "./parts/ask";
import { Patterns } from "./parts/bar";
import { Badge } from "./parts/badge";
import { span } from "./parts/words";
import { cluster, link } from "./store/cluster";
import { addressOf, PAGES, place, type PageId } from "./store/place";
import { may, session, signOut } from "./store/session";

const STALE_S = 15;

const VIEWS: Record<PageId, FunctionComponent> = {
  cluster: ClusterPage,
  models: ModelsPage,
  fit: FitPage,
  whatif: WhatIfPage,
  live: LivePage,
  requests: RequestsPage,
  events: EventsPage,
  knowledge: KnowledgePage,
  keys: KeysPage,
  audit: AuditPage,
  connect: ConnectPage,
};

export function App() {
  if (session.value === undefined) return null;
  return session.value === null ? <LoginPage /> : <Frame />;
}

function Frame() {
  const asked = PAGES.find((one) => one.id === place.value.page);
  const shown = asked && may(asked.scope) ? asked : PAGES.find((one) => may(one.scope));
  const title = shown?.title ?? "Nothing to show";
  const heading = useRef<HTMLHeadingElement>(null);
  const nav = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title} · ${cluster.value?.cluster ?? "potluck"}`;
    nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (!first.current) heading.current?.focus(); // so that a screen reader says where it is
    first.current = false;
  }, [title]);
  const View = shown && VIEWS[shown.id];
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); heading.current?.focus(); }}>
        Skip to the page
      </a>
      <Patterns />
      <header class="top">
        <div class="brand">
          potluck <span>{cluster.value?.cluster ?? ""}</span>
        </div>
        <nav ref={nav} aria-label="Pages">
          {PAGES.filter((one) => may(one.scope)).map((one) => (
            <a key={one.id} href={addressOf(one.id)} aria-current={one.id === shown?.id ? "page" : undefined}>
              {one.title}
            </a>
          ))}
        </nav>
        <div class="who">
          {may("status.read") && <Freshness />}
          <Name />
          <button type="button" class="quiet" onClick={() => void signOut()}>
            Sign out
          </button>
        </div>
      </header>
      <Said />
      <main id="main">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {!View && <p>This key may look at none of these pages. Programs use it; `potluck keys ls` says for what.</p>}
        {View && (cluster.value || shown.scope !== "status.read" ? <View /> : <p class="quietly">Waiting for the cluster's state …</p>)}
      </main>
    </>
  );
}

function Name() {
  const { name, role } = session.value ?? { name: "", role: "" };
  return (
    <span class="name">
      {name} {role !== name && <span class="quietly">{role}</span>}
    </span>
  );
}

function Freshness() {
  const age = cluster.value?.age_s;
  const stale = age != null && age > STALE_S;
  return (
    <span role="status" class="fresh">
      {link.value === "connecting" && <Badge state="connecting" tone="busy" />}
      {link.value === "lost" && <Badge state="no connection, trying again" tone="bad" />}
      {link.value === "live" && stale && <Badge state={`head away for ${span(age)}`} tone="warn" />}
      {link.value === "live" && !stale && <Badge state="live" tone="good" />}
    </span>
  );
}
