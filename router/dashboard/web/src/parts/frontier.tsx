/** The most requests at once for each context, drawn on scales that double; the same figures are in a table. */

import { Table } from "./table";
import { count, tokens } from "./words";
import type { Frontier, FrontierPoint } from "../wire/books";

interface Props {
  row: Frontier;
  asked: { context: number; users: number };
}

type Way = "users_alone" | "users_beside";

const [WIDTH, HEIGHT] = [520, 240];
const [LEFT, RIGHT, TOP, BOTTOM] = [60, 18, 12, 34];

export function FrontierChart({ row, asked }: Props) {
  const most = Math.max(asked.users, ...row.points.map((point) => point.users_alone), 1);
  const first = row.points[0]?.context_tokens ?? 512;
  const x = (size: number) => between(Math.log2(size), Math.log2(first), Math.log2(row.longest_tokens), LEFT, WIDTH - RIGHT);
  const y = (users: number) => between(Math.log2(Math.max(1, users)), 0, Math.log2(Math.max(2, most)), HEIGHT - BOTTOM, TOP);
  const path = (way: Way) => line(row.points, way, x, y);
  const inside = asked.context >= first && asked.context <= row.longest_tokens;
  return (
    <figure class="chart">
      <figcaption>
        Most requests at once, by tokens of each
        <span class="keys">
          <span class="key">alone</span>
          <span class="key dashed">beside what runs</span>
        </span>
      </figcaption>
      <svg class="frontier" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={labelOf(row, asked)}>
        {ticks(most).map((users) => (
          <g key={users}>
            <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={y(users)} y2={y(users)} />
            <text class="tick" x={LEFT - 6} y={y(users) + 4} text-anchor="end">
              {count(users)}
            </text>
          </g>
        ))}
        {row.points.filter(isMarked).map((point) => (
          <text key={point.context_tokens} class="tick" x={x(point.context_tokens)} y={HEIGHT - 10} text-anchor="middle">
            {tokens(point.context_tokens)}
          </text>
        ))}
        <path class="curve" d={path("users_alone")} />
        <path class="curve beside" d={path("users_beside")} />
        {inside && (
          <g>
            <line class="asked-line" x1={x(asked.context)} x2={x(asked.context)} y1={TOP} y2={HEIGHT - BOTTOM} />
            <circle class="asked" cx={x(asked.context)} cy={y(asked.users)} r="5" />
          </g>
        )}
      </svg>
    </figure>
  );
}

export function FrontierTable({ row }: { row: Frontier }) {
  return (
    <Table
      caption={`Most requests at once on ${row.node}, ${row.engine}`}
      rows={row.points}
      keyOf={(point) => point.context_tokens}
      columns={[
        { title: "tokens of each", cell: (point) => count(point.context_tokens) },
        { title: "alone", number: true, cell: (point) => count(point.users_alone) },
        { title: "beside what runs", number: true, cell: (point) => count(point.users_beside) },
      ]}
    />
  );
}

/** Where not even one fits, the curve ends. */
function line(points: FrontierPoint[], way: Way, x: (size: number) => number, y: (users: number) => number): string {
  const drawn = points.filter((point) => point[way] > 0);
  return drawn.map((point, at) => `${at === 0 ? "M" : "L"}${x(point.context_tokens)} ${y(point[way])}`).join(" ");
}

function between(value: number, low: number, high: number, from: number, to: number): number {
  const part = high > low ? (value - low) / (high - low) : 0;
  return Math.round((from + part * (to - from)) * 10) / 10;
}

function ticks(most: number): number[] {
  const all = [1, 4, 16, 64, 256, 1024, 4096];
  return all.filter((users) => users <= most);
}

/** Every other doubling: more would run into each other. */
function isMarked(point: FrontierPoint): boolean {
  const doubling = Math.log2(point.context_tokens / 512);
  return Number.isInteger(doubling) && doubling % 2 === 0;
}

function labelOf(row: Frontier, asked: { context: number; users: number }): string {
  const said = row.points.map(
    (point) => `${tokens(point.context_tokens)} tokens: ${count(point.users_alone)} alone, ${count(point.users_beside)} beside what runs`,
  );
  return `Most requests at once on ${row.node}, ${row.engine}. Asked: ${asked.users} of ${tokens(asked.context)} tokens. ${said.join("; ")}`;
}
