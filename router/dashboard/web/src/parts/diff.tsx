/** A unified diff, line by line: signs as well as tones. */

interface Props {
  label: string;
  text: string;
}

export function Diff({ label, text }: Props) {
  const lines = text.split("\n").filter((line, at) => !(at < 2 && /^(---|\+\+\+) /.test(line)));
  return (
    <div class="diff" role="region" tabIndex={0} aria-label={label}>
      {lines.map((line, at) => (
        <Line key={at} line={line} />
      ))}
    </div>
  );
}

function Line({ line }: { line: string }) {
  const [sign, words] = [line[0] ?? " ", line.slice(1)];
  if (sign === "@") return <p class="diff-place">{line.replace(/^@@[^@]*@@ ?/, "") || "…"}</p>;
  if (sign === "+") return <ins><span>+</span>{words}</ins>;
  if (sign === "-") return <del><span>−</span>{words}</del>;
  return <p><span> </span>{words}</p>;
}
