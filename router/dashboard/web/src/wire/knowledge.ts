/** Documents as the gateway tells of them: spaces, which its wire calls vector stores, their files, and what was found. */

export interface FileCounts {
  in_progress: number;
  completed: number;
  failed: number;
  cancelled: number;
  total: number;
}

export type Right = "read" | "read_whole" | "change" | "share";

/** `rights`: what whoever asked may do with it. `readers` is told to those who may share it. `licence`: whose the
 * material is, and on what terms. */
export interface SpaceMore {
  embedding_model: string;
  chunks: number;
  data_class: string;
  owners: string[];
  readers: string[] | null;
  licence: string | null;
  rights: Right[];
  history?: { versions: number | null; days: number | null };
}

export interface Space {
  id: string;
  name: string;
  description: string;
  created_at: number;
  usage_bytes: number;
  file_counts: FileCounts;
  expires_at: number | null;
  last_active_at: number | null;
  potluck: SpaceMore;
}

export type FileStatus = "in_progress" | "completed" | "failed" | "cancelled";

export interface SpaceFile {
  id: string;
  usage_bytes: number;
  created_at: number;
  vector_store_id: string;
  status: FileStatus;
  last_error: { code: string; message: string } | null;
  potluck: { filename: string; version: number; chunks: number; folder: string | null };
}

export interface Page<Row> {
  data: Row[];
  first_id: string | null;
  last_id: string | null;
  has_more: boolean;
}

export interface Version {
  version: number;
  made_at: number;
  ended_at: number | null;
  title: string;
  chunks: number;
  usage_bytes: number;
}

export interface Difference {
  old: Version;
  new: Version;
  added: number;
  removed: number;
  text: string;
}

/** `marks`: where words of the question stand in `text`, counted in code points. */
export interface Part {
  text: string;
  locator: { kind: string; value: string };
  version: number;
  score: number;
  found: boolean;
  relevant: boolean;
  reason: string;
  marks: [number, number][];
}

export interface Passage {
  number: number | null;
  vector_store_id: string;
  file_id: string;
  filename: string;
  source: string;
  chunks: Part[];
}

export interface Answer {
  query: string;
  as_of: number | null;
  reason: string;
  passages: Passage[];
  others: Passage[];
}

export interface Folder {
  id: string;
  vector_store_id: string;
  path: string;
  watched: boolean;
  looked_at: number | null;
}

export function nameOf(space: Space): string {
  return space.name || space.id;
}
