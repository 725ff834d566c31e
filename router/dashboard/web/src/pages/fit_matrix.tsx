/** The table of answers. Arrow keys go from cell to cell. */

import type { Chosen } from "./fit";
import { Icon, toneOf } from "../parts/badge";
import { bytes } from "../parts/words";
import { besides, fits, type Fit } from "../store/fits";
import type { Answer, FitRow } from "../wire/documents";

const BEST_FIRST: Answer[] = ["fits", "with changes", "after evicting", "never"];
const STEPS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

interface Props {
  models: string[];
  nodes: string[];
  open: (chosen: Chosen) => void;
}

export function Matrix({ models, nodes, open }: Props) {
  const machines = [...new Set([...nodes, ...describedOnly(models)])];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="What fits where">
      <table class="matrix" onKeyDown={(event) => step(event)}>
        <caption class="unseen">What fits where</caption>
        <thead>
          <tr>
            <th scope="col">model</th>
            {machines.map((machine) => (
              <th key={machine} scope="col">
                {machine}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {models.map((model, line) => (
            <tr key={model}>
              <th scope="row">
                {model}
                {besides.value.includes(model) && <Remove model={model} />}
              </th>
              <Line model={model} fit={fits.value[model] ?? "asking"} machines={machines} line={line} open={open} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface LineProps {
  model: string;
  fit: Fit;
  machines: string[];
  line: number;
  open: (chosen: Chosen) => void;
}

function Line({ model, fit, machines, line, open }: LineProps) {
  if (fit === "asking") return <td colSpan={machines.length || 1} class="quietly">asking …</td>;
  if ("problem" in fit) return <td colSpan={machines.length || 1}>{fit.problem}</td>;
  return (
    <>
      {machines.map((machine, column) => {
        const rows = bestFirst(fit.document.rows.filter((row) => row.node === machine));
        const [best] = rows;
        return (
          <td key={machine}>
            {best ? (
              <button
                type="button"
                class={`verdict ${toneOf(best.answer)}`}
                data-cell={`${line}.${column}`}
                onClick={() => open({ model, rows })}
              >
                <span class="verdict-head">
                  <Icon tone={toneOf(best.answer)} />
                  {wordsOf(best)}
                </span>
                <span class="verdict-facts">
                  needs {bytes(best.need_bytes)} · {bytes(best.free_bytes)} free
                </span>
              </button>
            ) : (
              <span class="quietly">no engine for it</span>
            )}
          </td>
        );
      })}
    </>
  );
}

function Remove({ model }: { model: string }) {
  return (
    <button
      type="button"
      class="quiet"
      aria-label={`Leave ${model} out`}
      onClick={() => {
        besides.value = besides.value.filter((name) => name !== model);
      }}
    >
      ✕
    </button>
  );
}

function wordsOf(row: FitRow): string {
  if (row.answer === "after evicting") return `after evicting ${row.evicted.join(", ")}`;
  if (row.answer === "with changes" && row.changes[0]) return `with ${row.changes[0].what}`;
  return row.answer;
}

/** Machines that cluster.yaml describes and that have not joined are in the answers only. */
function describedOnly(models: string[]): string[] {
  return models.flatMap((model) => {
    const fit = fits.value[model];
    return fit && typeof fit === "object" && "document" in fit ? fit.document.rows.map((row) => row.node) : [];
  });
}

function bestFirst(rows: FitRow[]): FitRow[] {
  return [...rows].sort((one, other) => BEST_FIRST.indexOf(one.answer) - BEST_FIRST.indexOf(other.answer));
}

function step(event: KeyboardEvent & { currentTarget: HTMLTableElement }): void {
  const way = STEPS[event.key];
  const cell = event.target instanceof HTMLElement ? event.target.dataset["cell"] : undefined;
  if (!way || !cell) return;
  event.preventDefault();
  const [line = 0, column = 0] = cell.split(".").map(Number);
  const next = `[data-cell="${line + way[0]}.${column + way[1]}"]`;
  event.currentTarget.querySelector<HTMLElement>(next)?.focus();
}
