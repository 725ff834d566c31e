/** Which page is open, as the address says behind its #. */

import { signal } from "@preact/signals";

/** `scope`: what a key must be allowed for the page to have anything to show. */
export const PAGES = [
  { id: "cluster", title: "Cluster", scope: "status.read" },
  { id: "models", title: "Models", scope: "status.read" },
  { id: "fit", title: "Fit", scope: "status.read" },
  { id: "whatif", title: "What-if", scope: "status.read" },
  { id: "live", title: "Live", scope: "status.read" },
  { id: "requests", title: "Requests", scope: "route.explain" },
  { id: "events", title: "Events", scope: "status.read" },
  { id: "knowledge", title: "Knowledge", scope: "inference" },
  { id: "keys", title: "Keys", scope: "usage.read" },
  { id: "audit", title: "Audit", scope: "audit.read" },
  { id: "connect", title: "Connect", scope: "status.read" },
] as const;

export type PageId = (typeof PAGES)[number]["id"];

interface Place {
  page: PageId;
  detail: string | null;
}

export const place = signal<Place>(placeOf(window.location.hash));

export function followAddress(): void {
  window.addEventListener("hashchange", () => {
    place.value = placeOf(window.location.hash);
  });
}

export function addressOf(page: PageId, detail?: string): string {
  return detail ? `#/${page}/${encodeURIComponent(detail)}` : `#/${page}`;
}

function placeOf(hash: string): Place {
  const [page, detail] = hash.replace(/^#\/?/, "").split("/");
  const known = PAGES.find((one) => one.id === page);
  return { page: known?.id ?? "cluster", detail: known && detail ? decodeURIComponent(detail) : null };
}
