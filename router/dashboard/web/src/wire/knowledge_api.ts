/** Questions about documents, on the same routes that programs use. */

import { ask, query } from "./api";
import type { Answer, Difference, FileStatus, Folder, Page, Space, SpaceFile, Version } from "./knowledge";

const STORES = "/v1/vector_stores";
export const FILES_SHOWN = 50;

const at = (space: string, ...path: string[]) => [STORES, ...[space, ...path].map(encodeURIComponent)].join("/");

export const knowledge = {
  spaces: async () => {
    const found: Space[] = [];
    for (let after = ""; ; ) {
      const page = await ask<Page<Space>>("GET", `${STORES}?${query({ limit: 100, after })}`);
      found.push(...page.data);
      if (!page.has_more || !page.last_id) return found;
      after = page.last_id;
    }
  },
  space: (id: string) => ask<Space>("GET", at(id)),
  files: (id: string, status: FileStatus | "", after: string) =>
    ask<Page<SpaceFile>>("GET", `${at(id, "files")}?${query({ limit: FILES_SHOWN, filter: status, after })}`),
  file: (id: string, file: string) => ask<SpaceFile>("GET", at(id, "files", file)),
  versions: (id: string, file: string) => ask<{ data: Version[] }>("GET", at(id, "files", file, "versions")),
  text: (id: string, file: string, version: number) =>
    ask<{ data: { text: string }[] }>("GET", `${at(id, "files", file, "content")}?${query({ version })}`),
  difference: (id: string, file: string, from: number, to: number) =>
    ask<Difference>("GET", `${at(id, "files", file, "diff")}?${query({ from, to })}`),
  search: (text: string, spaces: string[], asOf: string) =>
    ask<Answer>("POST", "/api/v1/rag/search", { query: text, vector_store_ids: spaces, ...(asOf ? { as_of: asOf } : {}) }),
  retry: (space: string, file: string) =>
    ask<SpaceFile>("POST", "/api/v1/rag/retry", { vector_store_id: space, file_id: file }),
  share: (id: string, grants: { owners?: string[]; readers?: string[] }) => ask<Space>("POST", at(id), grants),
  folders: () => ask<{ data: Folder[] }>("GET", "/api/v1/rag/folders"),
  add: async (id: string, file: File) => {
    const form = new FormData();
    form.append("purpose", "assistants");
    form.append("file", file, file.name);
    const uploaded = await ask<{ id: string }>("POST", "/v1/files", form);
    return ask<SpaceFile>("POST", at(id, "files"), { file_id: uploaded.id });
  },
};
