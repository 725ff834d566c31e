/** A text of a document with some of its characters marked. It stays text: nothing in it is read as markup. */

interface Props {
  text: string;
  marks: [number, number][]; // first code point, and the one after the last; in order
}

export function Marked({ text, marks }: Props) {
  const characters = [...text];
  const pieces: { words: string; marked: boolean; at: number }[] = [];
  let from = 0;
  for (const [first, last] of marks) {
    pieces.push({ words: characters.slice(from, first).join(""), marked: false, at: from });
    pieces.push({ words: characters.slice(first, last).join(""), marked: true, at: first });
    from = last;
  }
  pieces.push({ words: characters.slice(from).join(""), marked: false, at: from });
  return (
    <>
      {pieces.map((one) => (one.marked ? <mark key={`m${one.at}`}>{one.words}</mark> : one.words))}
    </>
  );
}
