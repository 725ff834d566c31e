/** Parts of a whole as a bar: patterns as well as tones, and the same in words. Widths are attributes, not styles. */

export interface Part {
  name: string;
  value: number;
  look: string; // a class: what it is filled with
  words: string;
}

interface Props {
  label: string;
  parts: Part[];
  whole: number;
  mark?: { at: number; words: string } | null;
}

export function Bar({ label, parts, whole, mark }: Props) {
  const said = [...parts.map((part) => `${part.name} ${part.words}`), ...(mark ? [mark.words] : [])].join(", ");
  let from = 0;
  return (
    <svg class="bar" role="img" aria-label={`${label}: ${said}`} width="100%" height="22">
      <rect class="bar-ground" width="100%" height="16" y="3" />
      {parts.map((part) => {
        const x = from;
        from += part.value;
        const [left, width] = [percent(x, whole), percent(part.value, whole)];
        return (
          <g key={part.name}>
            <rect class={`fill-${part.look}`} x={left} width={width} y="3" height="16" />
            <rect class={`over-${part.look}`} x={left} width={width} y="3" height="16" />
          </g>
        );
      })}
      {mark && (
        <line class="bar-mark" x1={percent(mark.at, whole)} x2={percent(mark.at, whole)} y1="0" y2="22" />
      )}
    </svg>
  );
}

/** What the fills mean, each with its size. */
export function Legend({ parts }: { parts: Part[] }) {
  return (
    <ul class="legend">
      {parts.map((part) => (
        <li key={part.name}>
          <svg width="12" height="12" aria-hidden="true">
            <rect class={`fill-${part.look}`} width="12" height="12" />
            <rect class={`over-${part.look}`} width="12" height="12" />
          </svg>
          {part.name} <b>{part.words}</b>
        </li>
      ))}
    </ul>
  );
}

/** Once in the page; every bar refers to them. */
export function Patterns() {
  return (
    <svg class="unseen" aria-hidden="true" width="0" height="0">
      <defs>
        <pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect class="pattern-ink" width="2" height="6" />
        </pattern>
        <pattern id="dots" width="5" height="5" patternUnits="userSpaceOnUse">
          <circle class="pattern-ink" cx="2" cy="2" r="1.1" />
        </pattern>
      </defs>
    </svg>
  );
}

function percent(value: number, whole: number): string {
  return `${whole > 0 ? Math.min(100, (100 * value) / whole) : 0}%`;
}
