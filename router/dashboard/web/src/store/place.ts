/** Which page is open, as the address says behind its #. */

import { signal } from "@preact/signals";

export const PAGES = [
  { id: "cluster", title: "Cluster" },
  { id: "fit", title: "Fit" },
  { id: "live", title: "Live" },
  { id: "requests", title: "Requests" },
  { id: "connect", title: "Connect" },
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
