/** Lines over time. The canvas says nothing to a screen reader: a table beside it does. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock, day, hour } from "./words";

export interface Line {
  name: string;
  values: (number | null)[];
  dashed?: boolean;
}

interface Props {
  title: string;
  times: number[];
  lines: Line[];
  whole?: boolean; // what is counted: no half of it on the axis
  dates?: Dates; // how far apart the times are, where that is more than seconds
}

type Dates = "hour" | "day" | undefined;

const HEIGHT = 180;
const SHORTEST_S = 60;
const WHOLE_STEPS = [1, 2, 5, 10, 20, 50].flatMap((step) => [step, step * 100, step * 10_000, step * 1_000_000]).sort((one, other) => one - other);

export function Chart({ title, times, lines, whole = false, dates }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const names = lines.map((line) => line.name).join("|");
  useEffect(() => {
    const box = place.current;
    if (!box) return undefined;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(box, lines, whole, dates), [[], ...lines.map(() => [])] as uPlot.AlignedData, box);
    };
    draw();
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    const watch = new ResizeObserver(() => plot.current?.setSize({ width: box.clientWidth, height: HEIGHT }));
    watch.observe(box);
    return () => {
      dark.removeEventListener("change", draw);
      watch.disconnect();
      plot.current?.destroy();
    };
  }, [names, dates]);
  useEffect(() => {
    plot.current?.setData([times, ...lines.map((line) => line.values)] as uPlot.AlignedData);
  }, [times, lines, dates]);
  return (
    <figure class="chart">
      <figcaption>
        {title}
        <span class="keys">
          {lines.map((line) => (
            <span key={line.name} class={line.dashed ? "key dashed" : "key"}>
              {line.name}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}

function optionsOf(box: HTMLElement, lines: Line[], whole: boolean, dates: Dates): uPlot.Options {
  const style = getComputedStyle(box);
  const ink = style.getPropertyValue("--ink-quiet").trim();
  const rule = style.getPropertyValue("--rule").trim();
  const accent = style.getPropertyValue("--accent").trim();
  const strong = style.getPropertyValue("--ink").trim();
  const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: "11px system-ui" };
  return {
    width: box.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false },
    scales: { x: { range: timeRange }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [{ ...axis, size: 30, space: 90, values: (_, ticks) => ticks.map(wordsOf(dates)) }, { ...axis, size: 56, ...(whole ? { incrs: WHOLE_STEPS } : {}) }],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.name,
        stroke: line.dashed ? strong : accent,
        width: 1.5,
        dash: line.dashed ? [4, 3] : [],
        points: { show: false },
      })),
    ],
  };
}

function wordsOf(dates: Dates): (wall: number) => string {
  return dates === "day" ? day : dates === "hour" ? hour : clock;
}

/** From the first sample to the last. uPlot would show a day around a single one. */
function timeRange(plot: uPlot): uPlot.Range.MinMax {
  const times = plot.data[0];
  const last = times[times.length - 1] ?? Date.now() / 1000;
  return [Math.min(times[0] ?? last, last - SHORTEST_S), last];
}
