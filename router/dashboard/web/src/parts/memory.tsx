/** A pool of memory as parts of a bar. */

import type { MemoryPart, Pool } from "../wire/state";
import { Bar, Legend, type Part } from "./bar";
import { bytes } from "./words";

export const MEMORY_PARTS: [MemoryPart, string][] = [
  ["weights", "weights"],
  ["kv", "KV cache"],
  ["runtime", "runtime"],
  ["engines", "engines, not itemised"],
  ["other", "other programs"],
  ["free", "free"],
];

export function partsOf(pool: Pool): Part[] {
  const parts = MEMORY_PARTS.flatMap(([id, name]) => partOf(name, id, pool.parts[id]));
  const free = parts.findIndex((part) => part.look === "free");
  parts.splice(free < 0 ? parts.length : free, 0, ...partOf("reserved", "reserved", pool.reserved_bytes));
  return parts;
}

/** None of it is not drawn. */
function partOf(name: string, look: string, value: number | undefined): Part[] {
  return value ? [{ name, value, look, words: bytes(value) }] : [];
}

export function PoolBar({ node, name, pool }: { node: string; name: string; pool: Pool }) {
  const parts = partsOf(pool);
  const whole = Math.max(
    pool.total_bytes,
    parts.reduce((sum, part) => sum + part.value, 0),
  );
  const budget = pool.budget_bytes;
  const mark = budget == null ? null : { at: budget, words: `budget ${bytes(budget)}` };
  return (
    <div class="pool">
      <div class="pool-head">
        <span>{name}</span>
        <span class="quietly">
          {budget == null ? "" : `budget ${bytes(budget)} of `}
          {bytes(pool.total_bytes)}
        </span>
      </div>
      <Bar label={`Memory of ${node}, ${name}, ${bytes(pool.total_bytes)}`} parts={parts} whole={whole} mark={mark} />
      <Legend parts={parts} />
    </div>
  );
}
