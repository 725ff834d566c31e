/** One answer of the head about one machine: what is needed, item by item, against the budget. */

import { Badge } from "../parts/badge";
import { Bar } from "../parts/bar";
import { Table } from "../parts/table";
import { bytes, count, plural, tokens } from "../parts/words";
import type { FitRow } from "../wire/documents";

const LOOKS: Record<string, string> = { weights: "weights", "kv cache": "kv" };

export function Reckoning({ row }: { row: FitRow }) {
  const parts = row.items.map((item) => ({
    name: item.term,
    value: item.bytes,
    look: LOOKS[item.term] ?? "runtime",
    words: bytes(item.bytes),
  }));
  const whole = Math.max(row.budget_bytes, row.need_bytes);
  return (
    <section class="reckoning">
      <h3>
        {row.engine} <span class="quietly">{row.quantisation}</span> <Badge state={row.answer} />
      </h3>
      <p>{row.why}</p>
      <Bar
        label={`Need of ${row.engine}`}
        parts={parts}
        whole={whole}
        mark={{ at: row.budget_bytes, words: `budget ${bytes(row.budget_bytes)}` }}
      />
      <Table
        caption={`Arithmetic of ${row.engine} ${row.quantisation}`}
        rows={[...row.items, { term: "needed in all", bytes: row.need_bytes, how: "" }]}
        keyOf={(item) => item.term}
        columns={[
          { title: "item", cell: (item) => item.term },
          { title: "size", number: true, cell: (item) => bytes(item.bytes) },
          { title: "how", wide: true, cell: (item) => item.how },
        ]}
      />
      <p>
        Budget {bytes(row.budget_bytes)}, of which {bytes(row.free_bytes)} are free
        {row.short_bytes > 0 ? `; ${bytes(row.short_bytes)} short` : ""}. With nothing else there it would serve{" "}
        {plural(row.most_users, "request")} at once.
      </p>
      {row.evicted.length > 0 && <p>It would fit after these have gone: {row.evicted.join(", ")}.</p>}
      {row.changes.length > 0 && (
        <>
          <h4>It would fit with</h4>
          <ul>
            {row.changes.map((change) => (
              <li key={change.what}>
                {change.what}: {tokens(change.context_tokens)} tokens, {count(change.users)} at once, {change.kv_bits}-bit
                KV cache, {bytes(change.need_bytes)}
              </li>
            ))}
          </ul>
        </>
      )}
      <p class="quietly">Shape of the model from {row.shape_from}.</p>
    </section>
  );
}
