/** Who could have served a request, what each would have cost, who could not, and what would have turned it. */

import { Table } from "../parts/table";
import { count, plural, rate, seconds } from "../parts/words";
import type { Explanation, Ranked } from "../wire/documents";

export function Candidates({ found }: { found: Explanation }) {
  const named = [...new Set(found.ranking.flatMap((one) => Object.keys(one.terms)))];
  const terms = named.filter((term) => found.ranking.some((one) => one.terms[term]));
  const none = named.filter((term) => !terms.includes(term));
  const amount = (value: number | undefined) => {
    if (value === undefined) return "";
    return found.unit === "s" ? seconds(value) : rate(value);
  };
  return (
    <section>
      <h3>
        {plural(found.candidates, "candidate")} <span class="quietly">best first, in {unitOf(found.unit)}</span>
      </h3>
      {found.ranking.length > 0 && (
        <Table<Ranked>
          caption="Candidates, best first"
          rows={found.ranking}
          keyOf={(one) => one.engine_id}
          columns={[
            { title: "engine", cell: (one) => one.engine_id },
            { title: "machine", cell: (one) => one.node_id },
            { title: "total", number: true, cell: (one) => amount(one.total) },
            ...terms.map((term) => ({ title: term, number: true, cell: (one: Ranked) => amount(one.terms[term]) })),
            { title: "in flight", number: true, cell: (one) => `${count(one.in_flight)} of ${count(one.slots)}` },
            { title: "cached", number: true, cell: (one) => count(one.cached_tokens) },
            { title: "home", cell: (one) => (one.home == null ? "" : one.home ? "yes" : "no") },
          ]}
        />
      )}
      {none.length > 0 && <p class="quietly">Nothing for any of them: {none.join(", ")}.</p>}
      {found.margin != null && (
        <p>
          Ahead of the next by {amount(found.margin)}
          {found.as_good_as_equal ? ", which is as good as equal" : ""}.
        </p>
      )}
      {found.smallest && <p>{found.smallest.words}.</p>}
      {found.rejected.length > 0 && (
        <>
          <h3>Left out</h3>
          <ul>
            {found.rejected.map((one) => (
              <li key={one.engine_id}>
                <b>{one.engine_id}</b> {one.why}
              </li>
            ))}
            {found.rejected_more > 0 && <li>and {plural(found.rejected_more, "other")}</li>}
          </ul>
        </>
      )}
    </section>
  );
}

function unitOf(unit: string): string {
  return unit === "s" ? "seconds" : unit;
}
